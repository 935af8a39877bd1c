"""Values inside dictionaries inside dictionaries, by the names that lead to them."""

from typing import Any


def leaves(tree: Any, prefix: str = '') -> dict[str, Any]:
    """Returns what lies at the ends of a tree of dictionaries, by its path.

    Args:
        tree: as JSON and YAML give it. Lists are ends; what is no dictionary at all is the one end of its tree.
        prefix: path of the tree itself.

    Returns:
        Names with dots between, such as 'task.model.num_classes' -> value, in the tree's order; an empty dictionary
        has none.
    """
    if not isinstance(tree, dict):
        return {prefix: tree}
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found.update(leaves(value, f'{prefix}.{name}' if prefix else str(name)))
    return found
