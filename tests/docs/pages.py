"""The project's pages: their links, their commands, the names in them."""

import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[2]
PAGES = ('README.md', 'CONTRIBUTING.md', *sorted(f'docs/{path.name}' for path in (ROOT / 'docs').glob('*.md')))
_FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r'`([^`\n]+)`')
_LINK = re.compile(r'\]\(([^)\s]+)\)')
_MODULE = re.compile(r'^python -m ([\w.]+)')
_MAKE = re.compile(r'^make(?= |$)(.*)')
ELLIPSIS = '…'


@dataclasses.dataclass(frozen=True)
class Command:
    """A `python -m` command of a page; `whole` is False where the page leaves flags out."""

    page: str
    module: str
    arguments: tuple[str, ...]
    whole: bool = True

    def values(self, flag: str) -> list[str]:
        """Every value given to a flag."""
        return [item.split('=', 1)[1] for item in self.arguments if item.startswith(f'--{flag}=')]


def text_of(page: str) -> str:
    """The page."""
    return (ROOT / page).read_text(encoding='utf-8')


def links_of(text: str) -> list[str]:
    """Targets of links and pictures that are no addresses of the web."""
    prose = _FENCE.sub('', text)
    return [target for target in _LINK.findall(prose) if '://' not in target]


def anchors_of(text: str) -> set[str]:
    """What a page's headings are reached by, as GitHub makes it."""
    headings = re.findall(r'^#+ (.+)$', _FENCE.sub('', text), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def lines_of(text: str) -> list[str]:
    """Lines of a page that a reader may type: of its blocks of code, continued ones joined, and in its prose."""
    found: list[str] = []
    for kind, block in _FENCE.findall(text):
        if kind not in ('', 'sh', 'bash'):
            continue
        joined = block.replace('\\\n', ' ')
        found += [line.strip() for line in joined.splitlines()]
    prose = _FENCE.sub('', text)
    indented = prose.replace('\\\n', ' ')
    found += [line.strip() for line in indented.splitlines() if line.startswith('    ')]
    return found + [code.strip() for code in _INLINE.findall(prose)]


def commands_of(page: str) -> list[Command]:
    """The page's `python -m` commands."""
    found = []
    for line in lines_of(text_of(page)):
        match = _MODULE.match(line)
        if match:
            words = shlex.split(line, comments=True)[3:]
            whole = bool(words) and ELLIPSIS not in line
            found.append(Command(page, match[1], tuple(words), whole))
    return found


def make_targets_of(page: str) -> list[str]:
    """The targets that the page's `make` commands name."""
    found = []
    for line in lines_of(text_of(page)):
        match = _MAKE.match(line)
        if match:
            words = shlex.split(match[1], comments=True)
            found += [word for word in words if '=' not in word and not word.startswith('-')]
    return found
