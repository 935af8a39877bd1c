"""`python -m official_rethink.study.page`: the report of a results.json alone, without the study's folder."""

from collections.abc import Sequence

from official_rethink.common import entry_point, errors

_DESCRIPTION = """\
Makes report.html anew from a study's results.json: tables, curves, findings and accounting, as far as the record holds
them. Pictures and the quality of pseudo labels stand in the study's own report, which has its folder.
"""
_EPILOG = """\
example:
  python -m official_rethink.study.page --results=docs/results/pretrained.json --output=runs/pretrained.html
"""


def main(argv: Sequence[str]) -> int:
    """Makes the page named by the flags; returns the exit code."""
    parser = entry_point.Parser(prog='python -m official_rethink.study.page', description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument('--results', required=True, help='a results.json')
    parser.add_argument('--output', required=True, help='the page to write, a name that ends in .html')
    flags = parser.parse_args(argv)
    if not flags.output.endswith('.html'):
        raise errors.bad_value('--output', flags.output, 'a name that ends in .html', 'the command line')
    # Slow to import, which --help and a misspelt flag need not wait for.
    from official_rethink.common import files  # noqa: PLC0415
    from official_rethink.study import records, report  # noqa: PLC0415
    from official_rethink.study.report_material import Material  # noqa: PLC0415

    results = records.load(flags.results)
    files.write_text(flags.output, report.render(results, Material({})))
    print(flags.output)
    return 0


if __name__ == '__main__':
    entry_point.run(main)
