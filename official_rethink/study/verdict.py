"""The answer in a sentence: what to do on this data, by how much, how sure; no surer than the seeds allow."""

import dataclasses
from typing import Any

from official_rethink.study import evidence, samples, statistics
from official_rethink.study.words import count, points, times


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        headline: one sentence.
        certainty: how sure it is, and what would make it surer.
        clear: whether the seeds tell the best arm from the baseline.
    """

    headline: str
    certainty: str
    clear: bool


def advice(arm: dict[str, Any], baseline: dict[str, Any], choice: bool = True) -> str:
    """What to do, in the imperative: what the arm is, and where else it differs from the baseline.

    Args:
        arm: the best one.
        baseline: what it is compared with.
        choice: whether any arm of the study self-trains.
    """
    text = 'Self-train' if arm['self_training'] else 'Train on the human labels alone' if choice else 'Train'
    if arm.get('joint'):
        text = f'{text} and on classification at once' if arm['self_training'] else 'Train on classification as well'
    extra = [] if arm.get('network', '') == baseline.get('network', '') else [f'with {_network(arm)}']
    if arm.get('rounds', 0) > 1:
        extra.append(f'for {count(arm["rounds"], "round")}')
    if arm['initialization'] != baseline['initialization']:
        random = arm['initialization'] == 'random'
        extra.append('from scratch' if random else 'from the pre-trained weights')
    if arm['augmentation'] != baseline['augmentation']:
        extra.append(f'with Augment-{arm["augmentation"]}')
    if arm['label_fraction'] != baseline['label_fraction']:
        extra.append(f'with {100 * arm["label_fraction"]:g} % of the labels')
    if arm.get('own_steps', 0) != baseline.get('own_steps', 0):
        extra.append(f'for {arm["steps"]:,} steps')
    return ' '.join([text, *extra])


def _network(arm: dict[str, Any]) -> str:
    return arm.get('network') or "the study's own network"


def conclude(results: dict[str, Any]) -> Verdict:
    """Compares the best arm with the baseline."""
    metric = results['metric']
    baseline = next(arm for arm in results['arms'] if arm['name'] == results['baseline'])
    others = [arm for arm in results['arms'] if arm is not baseline]
    seeds = len(baseline['seeds'])
    if not others:
        return Verdict(
            f'{baseline["name"]} reaches {points(baseline["mean"])} {metric}; nothing to compare it with.',
            'Add a second arm to the study to get an answer.',
            False,
        )
    best = max(others, key=lambda arm: arm['mean'])
    gain = best['difference']
    levels = f'{points(best["mean"])} {metric} against {points(baseline["mean"])}'
    if gain['mean'] <= 0:
        return _for_baseline(best, baseline, levels, len(others), seeds)
    choice = any(arm['self_training'] for arm in results['arms'])
    what, amount = advice(best, baseline, choice), f'{points(gain["mean"])} points'
    clear = gain['low'] is not None and gain['low'] > 0
    if clear:
        headline = f'{what}: on this data it reaches {levels} for {baseline["name"]}, a gain of {amount}.'
    elif seeds == 1:
        headline = f'{best["name"]} came out {amount} over {baseline["name"]} ({levels}), in a single run.'
    else:
        headline = (
            f'No arm is clearly ahead: {best["name"]} came out {amount} over {baseline["name"]} ({levels}), '
            f'within what {count(seeds, "seed")} leave open.'
        )
    certainty = _certainty(gain, len(others), seeds) + _of_one_length(best, baseline)
    return Verdict(headline, certainty + _of_one_network(best, baseline, results), clear)


def _of_one_length(best: dict[str, Any], baseline: dict[str, Any]) -> str:
    """That the best arm trained for another time than the baseline, where arms have their own lengths."""
    steps, base = samples.steps(best), samples.steps(baseline)
    if best.get('own_steps', 0) == baseline.get('own_steps', 0) or not base or steps == base:
        return ''
    return f' It trains {times(steps / base)} as long as {baseline["name"]}: {steps:,} steps to {base:,}.'


def _of_one_network(best: dict[str, Any], baseline: dict[str, Any], results: dict[str, Any]) -> str:
    """How much of a gain over another network's baseline is self-training's."""
    if best.get('network', '') == baseline.get('network', '') or not best['self_training']:
        return ''
    other = evidence.supervised_counterpart(results['arms'], best)
    if other is None:
        return f' The networks differ, and no supervised arm with {_network(best)} is otherwise alike.'
    gain = statistics.paired_difference(evidence.values(best), evidence.values(other))
    text = f' The networks differ: over {other["name"]}, which is alike but supervised, it is '
    text += f'{points(gain.mean, sign=True)} points'
    if gain.low is None or gain.high is None:
        return f'{text}, in one run.'
    return f'{text} [{points(gain.low, sign=True)}, {points(gain.high, sign=True)}].'


def _for_baseline(
    best: dict[str, Any], baseline: dict[str, Any], levels: str, others: int, seeds: int
) -> Verdict:
    gain = best['difference']
    clear = gain['high'] is not None and gain['high'] < 0
    which = best['name'] if others == 1 else f'even the best other arm, {best["name"]},'
    if gain['mean'] == 0:
        ending = f'{which} came out level ({levels}).'
    else:
        ending = f'{which} came out {points(-gain["mean"])} points lower ({levels}).'
    headline = f'Stay with {baseline["name"]}: on this data, {ending}'
    if seeds == 1:
        headline = f'Nothing here speaks against {baseline["name"]}: {ending} It is a single run.'
    elif not clear:
        headline = f'Nothing here speaks against {baseline["name"]}: {ending}'
    return Verdict(headline, _certainty(gain, others, seeds), clear)


def _certainty(gain: dict[str, Any], others: int, seeds: int) -> str:
    if gain['low'] is None:
        return (
            'One seed says nothing about the spread between runs, which is often a point or more. '
            'Set seeds to [0, 1, 2] or more and start the study again; the finished run is kept.'
        )
    span = f'{points(gain["low"], sign=True)} to {points(gain["high"], sign=True)}'
    text = (
        f'Mean paired difference over {count(seeds, "seed")}: {points(gain["mean"], sign=True)} points, '
        f'standard deviation {points(gain["std"])}, 95 % t-interval {span}.'
    )
    if gain['low'] <= 0 <= gain['high']:
        text += ' The interval spans zero, so the direction is not settled; more seeds would narrow it.'
    if others > 1:
        text += f' It is the best of {others} arms, chosen after the fact, which flatters it a little.'
    return text
