"""The classification classes of the built-in scenes: ten families, none of them a detection class.

They play ImageNet's part: same renderer, other objects, so what pre-training on them gives is features.
"""

import math

from official_rethink.data import scene_shapes as shapes
from official_rethink.data.scene_shapes import Draw, Family, Figure, part

_UP = -math.pi / 2.0


def _mushroom(draw: Draw) -> Figure:
    """A bulging stem under a spotted cap."""
    radius, squash = draw.around(0.8, 0.12), draw.around(0.85, 0.2)
    lean, foot = draw.around(0.0, 0.15), draw.around(0.3, 0.08)
    parts = [
        part('stem', shapes.limb((0.0, -0.1), (lean, 0.8), foot * 1.4, foot * 2.0)),
        part('rim', shapes.ellipse(0.0, 0.0, radius, 0.13)),
        part('cap', shapes.sector(0.0, 0.0, radius, math.pi, 2 * math.pi, squash)),
    ]
    for spot in range(draw.count(2, 5)):
        angle = math.pi * (0.15 + 0.16 * spot) + draw.around(0.0, 0.1)
        x, y = -radius * 0.6 * math.cos(angle), -radius * squash * draw.around(0.5, 0.2) * math.sin(angle)
        parts.append(part('white', shapes.ellipse(x, y, draw.around(0.11, 0.05), 0.09)))
    return Figure(tuple(parts), ((0.0, -radius * squash), (lean, 0.8)))


def _rocket(draw: Draw) -> Figure:
    """A body with a nose cone, two fins, portholes and a flame."""
    half, flame = draw.around(0.26, 0.06), draw.around(0.4, 0.15)
    fin = draw.around(0.34, 0.1)
    parts = [part('flame', shapes.polygon((-half * 0.6, 0.6), (0.0, 0.6 + flame), (half * 0.6, 0.6)))]
    for side in (-1.0, 1.0):
        parts.append(
            part('fin', shapes.polygon((side * half, 0.15), (side * (half + fin), 0.7), (side * half, 0.6)))
        )
    parts += [
        part('body', shapes.box(0.0, 0.1, 2.0 * half, 1.05)),
        part(
            'nose',
            shapes.polygon(
                (-half, -0.42), (-half * 0.5, -0.78), (0.0, -1.0), (half * 0.5, -0.78), (half, -0.42)
            ),
        ),
    ]
    for window in range(draw.count(1, 3)):
        parts.append(part('glass', shapes.ellipse(0.0, -0.22 + 0.28 * window, half * 0.45, half * 0.45)))
    return Figure(tuple(parts), ((0.0, -0.97), (0.0, 0.6)))


def _cup(draw: Draw) -> Figure:
    """A tapered mug with an open rim and a ring-shaped handle."""
    top, bottom, height = draw.around(0.6, 0.1), draw.around(0.45, 0.12), draw.around(0.62, 0.15)
    reach = draw.around(0.36, 0.08)
    parts = [
        part(
            'handle',
            shapes.ellipse(top * 0.9, 0.0, reach, height * 0.6),
            shapes.ellipse(top * 0.9, 0.0, reach * 0.62, height * 0.38),
        ),
        part('body', shapes.polygon((-top, -height), (top, -height), (bottom, height), (-bottom, height))),
        part('band', shapes.box(0.0, draw.around(0.0, 0.2), top + bottom, draw.around(0.2, 0.1))),
        part('trim', shapes.ellipse(0.0, -height, top, 0.15)),
        part('dark', shapes.ellipse(0.0, -height, top * 0.85, 0.1)),
    ]
    return Figure(tuple(parts), ((0.0, -height), (top * 0.9 + reach * 0.8, 0.0)))


def _umbrella(draw: Draw) -> Figure:
    """A canopy of several panels over a hooked stick."""
    squash, panels = draw.around(0.75, 0.2), draw.count(3, 5)
    hook = draw.around(0.16, 0.05)
    parts = [
        part('stick', shapes.limb((0.0, -0.8), (0.0, 0.8), 0.07)),
        part('stick', shapes.limb((0.0, 0.8), (hook, 0.95), 0.08)),
        part('stick', shapes.limb((hook, 0.95), (2 * hook, 0.8), 0.08)),
    ]
    width = math.pi / panels
    for panel in range(panels):
        slice_ = shapes.sector(0.0, 0.0, 0.95, math.pi + panel * width, math.pi + (panel + 1) * width, squash)
        parts.append(part('panel' if panel % 2 else 'panel_odd', slice_))
    parts.append(part('stick', shapes.limb((0.0, -0.95 * squash - 0.12), (0.0, -0.95 * squash), 0.07)))
    return Figure(tuple(parts), ((0.0, -0.95 * squash), (hook, 0.95)))


def _butterfly(draw: Draw) -> Figure:
    """Four wings, mirrored, on a thin body with feelers."""
    upper, lower = draw.around(0.55, 0.25), draw.around(-0.6, 0.25)
    length, width = draw.around(0.95, 0.15), draw.around(0.62, 0.12)
    parts = []
    for side in (0.0, 1.0):
        for role, angle, share in (('lower', -lower, 0.75), ('upper', -upper, 1.0)):
            turn = math.pi - angle if side else angle
            parts.append(part(role, shapes.petal(0.0, -0.05, length * share, width * share, turn)))
            spot = shapes.step((0.0, -0.05), turn, length * share * 0.62)
            parts.append(part('spot', shapes.ellipse(*spot, 0.12 * share, 0.12 * share)))
    for x in (-0.25, 0.25):
        parts.append(part('dark', shapes.limb((0.0, -0.35), (x, -0.75), 0.045)))
    parts.append(part('dark', shapes.ellipse(0.0, 0.0, 0.09, 0.45)))
    return Figure(tuple(parts), ((0.0, -0.4), (0.0, 0.42)))


def _hammer(draw: Draw) -> Figure:
    """A handle with a grip, and a head with a face and a claw."""
    width, head = draw.around(0.15, 0.04), draw.around(0.28, 0.06)
    claw = draw.around(0.25, 0.12)
    parts = [
        part('handle', shapes.limb((0.0, -0.6), (0.0, 0.9), width, width * 1.3)),
        part('grip', shapes.limb((0.0, 0.4), (0.0, 0.9), width * 1.5)),
        part('head', shapes.box(-0.12, -0.7, 0.6, head)),
        part('face', shapes.box(-0.48, -0.7, 0.16, head * 1.4)),
        part('head', shapes.polygon((0.15, -0.7 - head / 2), (0.65, -0.7 + claw), (0.15, -0.7 + head / 2))),
    ]
    return Figure(tuple(parts), ((-0.55, -0.7), (0.0, 0.9)))


def _cactus(draw: Draw) -> Figure:
    """A pot, a trunk and one to three bent arms."""
    width = draw.around(0.36, 0.08)
    parts = []
    sides = (-1.0, 1.0, -1.0)[: draw.count(1, 3)]
    for number, side in enumerate(sides):
        y = 0.15 - 0.3 * number + draw.around(0.0, 0.1)
        elbow = (side * draw.around(0.55, 0.12), y)
        parts += [
            part('arm', shapes.limb((0.0, y), elbow, width * 0.6)),
            part('arm', shapes.limb(elbow, (elbow[0], y - draw.around(0.42, 0.12)), width * 0.6)),
        ]
    parts += [
        part('arm', shapes.limb((0.0, draw.around(-0.75, 0.15)), (0.0, 0.6), width)),
        part('pot', shapes.polygon((-0.4, 0.55), (0.4, 0.55), (0.28, 1.0), (-0.28, 1.0))),
        part('rim', shapes.box(0.0, 0.58, 0.92, 0.14)),
    ]
    return Figure(tuple(parts), ((0.0, -0.75), (0.0, 0.95)))


def _scissors(draw: Draw) -> Figure:
    """Two crossed blades with ring handles, more or less open."""
    opening = draw.around(0.32, 0.22)
    ring, length = draw.around(0.24, 0.04), draw.around(0.95, 0.1)
    parts = []
    for role, side in (('blade', -1.0), ('blade', 1.0)):
        along = _UP + side * opening
        tip, end = shapes.step((0.0, 0.0), along, length), shapes.step((0.0, 0.0), along + math.pi, 0.62)
        parts.append(part(role, shapes.limb((0.0, 0.0), tip, 0.2, 0.03)))
        parts.append(part('handle', shapes.limb((0.0, 0.0), end, 0.13)))
        centre = shapes.step(end, along + math.pi, ring * 0.8)
        parts.append(
            part(
                'handle',
                shapes.ellipse(*centre, ring, ring * 1.2),
                shapes.ellipse(*centre, ring * 0.55, ring * 0.7),
            )
        )
    parts.append(part('dark', shapes.ellipse(0.0, 0.0, 0.06, 0.06)))
    tips = [shapes.step((0.0, 0.0), _UP + side * opening, length * 0.97) for side in (-1.0, 1.0)]
    return Figure(tuple(parts), ((0.0, 0.0), *tips))


def _chair(draw: Draw) -> Figure:
    """A chair seen from the side and a little above: back with slats, seat, four legs."""
    width, back, legs = draw.around(0.5, 0.1), draw.around(0.85, 0.15), draw.around(0.72, 0.12)
    skew = draw.around(0.22, 0.12)
    parts = []
    for x, y in ((-width + skew, -0.12), (width + skew, -0.12), (-width, 0.1), (width, 0.1)):
        parts.append(part('leg', shapes.limb((x, y), (x * 1.08, y + legs), 0.1)))
    for x in (-width + skew, width + skew):
        parts.append(part('leg', shapes.limb((x, -0.1), (x, -back), 0.1)))
    for slat in range(draw.count(2, 4)):
        parts.append(part('slat', shapes.box(skew, -back + 0.1 + 0.2 * slat, 2.0 * width, 0.11)))
    seat = shapes.polygon((-width + skew, -0.14), (width + skew, -0.14), (width, 0.14), (-width, 0.14))
    parts.append(part('seat', seat))
    return Figure(tuple(parts), ((skew, -back + 0.1), (0.0, 0.0)))


def _guitar(draw: Draw) -> Figure:
    """A waisted body with a sound hole and bridge, a long neck and a head."""
    lower, upper = draw.around(0.42, 0.06), draw.around(0.32, 0.05)
    neck = draw.around(-0.75, 0.08)
    parts = [
        part('neck', shapes.limb((0.0, 0.2), (0.0, neck), 0.13, 0.1)),
        part('head', shapes.box(0.0, neck - 0.12, 0.22, 0.28)),
        part('body', shapes.ellipse(0.0, 0.2, upper, 0.28)),
        part('body', shapes.ellipse(0.0, 0.6, lower, 0.36)),
        part('neck', shapes.box(0.0, -0.1, 0.12, 0.6)),
        part('dark', shapes.ellipse(0.0, 0.32, 0.14, 0.14)),
        part('dark', shapes.box(0.0, 0.72, 0.3, 0.07)),
    ]
    return Figure(tuple(parts), ((0.0, neck - 0.2), (0.0, 0.9)))


PRETRAINING_FAMILIES: tuple[Family, ...] = (
    Family('mushroom', _mushroom, ('top', 'foot')),
    Family('rocket', _rocket, ('nose', 'nozzle')),
    Family('cup', _cup, ('rim', 'handle')),
    Family('umbrella', _umbrella, ('top', 'hook')),
    Family('butterfly', _butterfly, ('head', 'tail')),
    Family('hammer', _hammer, ('face', 'handle')),
    Family('cactus', _cactus, ('top', 'pot')),
    Family('scissors', _scissors, ('pivot', 'left_tip', 'right_tip'), ((1, 2),)),
    Family('chair', _chair, ('back', 'seat')),
    Family('guitar', _guitar, ('head', 'bridge')),
)
