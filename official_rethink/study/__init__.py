"""The study: arms, runner with resume, cost accounting, report."""
