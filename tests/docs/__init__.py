"""What the pages say: links lead somewhere, commands parse, names exist."""
