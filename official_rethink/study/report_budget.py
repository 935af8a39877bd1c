"""The report's words on the budget: steps of each kind of arm, convergence, images read, pre-training."""

import html
from typing import Any

from official_rethink.study import samples


def paragraph(text: str, style: str = '') -> str:
    """A paragraph of plain text."""
    return f'<p class="{style}">{html.escape(text)}</p>' if style else f'<p>{html.escape(text)}</p>'


def section(results: dict[str, Any]) -> str:
    """What each arm's training was given, whether it was enough, and what it read."""
    budget = results['budget']
    text = _lengths(results) if _lengths(results) else _shares(results)
    text += (
        f'All are evaluated every {budget["validation_interval"]:,} steps on the validation images, and of '
        'each run the best checkpoint counts, not the last.'
    )
    parts = [paragraph(text), paragraph(_converged(results)), paragraph(_images_words(results), 'note')]
    return ''.join([*parts, *(paragraph(words, 'note') for words in _pretraining_words(results))])


def _lengths(results: dict[str, Any]) -> str:
    """The lengths of arms that have their own, or of a study without self-training; '' where the budget says it all."""
    supervised = [arm for arm in results['arms'] if not arm['self_training']]
    if len(supervised) < len(results['arms']) and not any(arm.get('own_steps') for arm in supervised):
        return ''
    by_length: dict[int, list[str]] = {}
    for arm in sorted(results['arms'], key=samples.steps):
        by_length.setdefault(samples.steps(arm), []).append(arm['name'])
    if len(by_length) == 1:
        return f'Every arm trains for {next(iter(by_length)):,} steps. '
    words = '; '.join(f'{", ".join(names)} for {length:,}' for length, names in by_length.items())
    return f'Arms train for different numbers of steps: {words}. '


def _shares(results: dict[str, Any]) -> str:
    """How the budget is divided between teachers and students, and what supervised arms get."""
    budget = results['budget']
    teacher, student, supervised = (budget[f'{name}_steps'] for name in ('teacher', 'student', 'supervised'))
    text = (
        f'A supervised arm trains for {supervised:,} steps, a self-training arm for {teacher:,} as teacher '
        f'and {student:,} as student'
    )
    rounds = max((arm.get('rounds', 1) for arm in results['arms']), default=1)
    if rounds > 1:
        text += f' in each of its rounds, {teacher + rounds * student:,} in all with {rounds} rounds. '
        text += 'Supervised arms get as many as the arm with most rounds, so fewer rounds have fewer steps. '
    else:
        text += f', {teacher + student:,} in all. ' if supervised != teacher + student else ': the same number. '
    return text


def _pretraining_words(results: dict[str, Any]) -> list[str]:
    """What each pre-training cost, which no arm's budget holds, and the images that joint arms classify."""
    found = {
        arm['initialization']: stage
        for arm in results['arms']
        for stage in arm['seeds'][0]['stages']
        if stage['stage'] == 'pretraining'
    }
    words = [
        f'The pre-training {name} took {stage["cost"]["steps"]:,.0f} steps on {stage["cost"]["images"]:,.0f} images '
        f'({stage["cost"]["pixels"] / 1e6:,.0f} megapixels) before, once for all arms and seeds: '
        f'{", ".join(stage["shared_with"])}. It is counted apart; the spread over seeds does not hold it.'
        for name, stage in found.items()
    ]
    if any(arm.get('joint') for arm in results['arms']):
        words.append('A step of a joint arm reads images to classify besides; they are in its images and pixels.')
    return words


def _converged(results: dict[str, Any]) -> str:
    """Says whether longer training would still have helped the supervised arms."""
    late = []
    for arm in results['arms']:
        for seed in arm['seeds']:
            last = seed['stages'][-1]
            if last.get('best_step') is not None and last['best_step'] >= last['cost']['steps'] > 0:
                late.append(arm['name'])
    if not late:
        return 'Every run had its best checkpoint before its last evaluation.'
    names = ', '.join(dict.fromkeys(late))
    runs = sum(len(arm['seeds']) for arm in results['arms'])
    return (
        f'{len(late)} of {runs} runs were best at their last evaluation ({names}), so more steps might help '
        'them; the papers train each arm until longer stops helping.'
    )


def _images_words(results: dict[str, Any]) -> str:
    means = {}
    for arm in results['arms']:
        means[arm['name']] = sum(seed['images'] for seed in arm['seeds']) / len(arm['seeds'])
    low, high = (choose(means, key=lambda name: means[name]) for choose in (min, max))
    if means[low] == means[high]:
        return 'All arms read the same number of images.'
    text = f'Steps are the budget, not images: {high} read {means[high]:,.0f} images and {low} {means[low]:,.0f}'
    if any(arm['self_training'] for arm in results['arms']):
        text += ', since a step with pseudo labels reads both kinds and labelling reads the unlabelled images once'
    return f'{text}.'
