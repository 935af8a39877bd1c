"""Detection classes of the built-in scenes that move at joints: limbs, sails, arms, tails, wings."""

import math

from official_rethink.data import scene_shapes as shapes
from official_rethink.data.scene_shapes import Draw, Family, Figure, between, part

_DOWN, _UP = math.pi / 2.0, -math.pi / 2.0


def _walker(draw: Draw) -> Figure:
    """A person in mid-stride: head, torso, and limbs of two segments each."""
    shoulder, hip = (0.0, -0.48), (draw.around(0.0, 0.1), 0.12)
    width = draw.around(0.36, 0.08)
    head_radius = draw.around(0.2, 0.04)
    parts, ends = [], []
    for side in (-1.0, 1.0):
        joint = (hip[0] + side * width * 0.25, hip[1])
        thigh = _DOWN - side * draw.around(0.4, 0.5)
        knee = shapes.step(joint, thigh, 0.42)
        foot = shapes.step(knee, thigh + draw.around(0.1, 0.4), 0.42)
        parts += [
            part('legs', shapes.limb(joint, knee, 0.2, 0.17)),
            part('legs', shapes.limb(knee, foot, 0.17, 0.13)),
        ]
        parts.append(part('shoes', shapes.limb(foot, (foot[0] + 0.12, foot[1]), 0.13)))
        ends.append(foot)
    for side in (-1.0, 1.0):
        joint = (shoulder[0] + side * width * 0.5, shoulder[1] + 0.02)
        upper = _DOWN - side * draw.around(0.9, 0.8)
        elbow = shapes.step(joint, upper, 0.32)
        hand = shapes.step(elbow, upper - side * draw.around(0.4, 0.7), 0.3)
        parts += [
            part('body', shapes.limb(joint, elbow, 0.15, 0.13)),
            part('skin', shapes.limb(elbow, hand, 0.12, 0.1)),
        ]
        ends.append(hand)
    torso = shapes.polygon(
        (-width * 0.62, shoulder[1] - 0.05),
        (width * 0.62, shoulder[1] - 0.05),
        (hip[0] + width * 0.45, hip[1] + 0.08),
        (hip[0] - width * 0.45, hip[1] + 0.08),
    )
    head = (draw.around(0.0, 0.08), shoulder[1] - 0.07 - head_radius)
    parts += [part('body', torso), part('skin', shapes.ellipse(*head, head_radius * 0.9, head_radius))]
    parts.append(
        part('hair', shapes.sector(head[0], head[1] - 0.02, head_radius * 1.05, math.pi, 2 * math.pi))
    )
    return Figure(tuple(parts), (head, ends[2], ends[3], ends[0], ends[1]))


def _windmill(draw: Draw) -> Figure:
    """A tapered tower with a cap and four lattice sails at any angle."""
    foot, top = draw.around(0.42, 0.1), draw.around(0.22, 0.05)
    hub = (0.0, -0.3)
    turn = draw.around(0.4, 0.39)
    length, width = draw.around(0.82, 0.1), draw.around(0.2, 0.05)
    parts = [
        part('tower', shapes.polygon((-top, hub[1]), (top, hub[1]), (foot, 1.0), (-foot, 1.0))),
        part('roof', shapes.sector(0.0, hub[1] + 0.03, top * 1.25, math.pi, 2 * math.pi)),
        part('dark', shapes.box(0.0, 0.86, foot * 0.45, 0.28)),
        part('dark', shapes.box(0.0, 0.3, 0.12, 0.16)),
    ]
    tips = []
    for blade in range(4):
        angle = turn + _UP + blade * math.pi / 2.0
        tip = shapes.step(hub, angle, length)
        middle = shapes.step(shapes.step(hub, angle, length * 0.6), angle + math.pi / 2.0, width * 0.45)
        parts.append(part('sail', shapes.box(*middle, length * 0.78, width, angle)))
        parts.append(part('dark', shapes.limb(hub, tip, 0.07)))
        tips.append(shapes.step(hub, angle, length * 0.97))
    parts.append(part('roof', shapes.ellipse(*hub, 0.1, 0.1)))
    return Figure(tuple(parts), (hub, *tips))


def _fish(draw: Draw) -> Figure:
    """A fish with a swinging tail, a back fin and a belly fin."""
    height = draw.around(0.36, 0.12)
    bend = draw.around(0.0, 0.45)
    body = shapes.ellipse(0.15, 0.0, 0.75, height)
    root = (-0.5, 0.0)
    middle = shapes.step(root, math.pi + bend * 0.6, 0.28)
    spread, tail_length = draw.around(0.65, 0.2), draw.around(0.42, 0.1)
    top = shapes.step(middle, math.pi + bend + spread, tail_length)
    bottom = shapes.step(middle, math.pi + bend - spread, tail_length)
    notch = shapes.step(middle, math.pi + bend, tail_length * 0.45)
    fin_x, fin_height = draw.around(0.1, 0.12), draw.around(0.26, 0.1)
    fin_tip = (fin_x - 0.22, -height - fin_height)
    parts = [
        part('fins', shapes.polygon((fin_x + 0.25, -height * 0.7), fin_tip, (fin_x - 0.35, -height * 0.6))),
        part(
            'fins',
            shapes.polygon((0.2, height * 0.8), (0.0, height + fin_height * 0.7), (-0.1, height * 0.7)),
        ),
        part('fins', shapes.polygon(middle, top, notch, bottom)),
        part('body', shapes.limb((-0.3, 0.0), middle, height * 1.2, 0.16)),
        part('body', body),
        part('head', shapes.sector(0.15, 0.0, 0.74, -0.75, 0.75, squash=height / 0.75)),
        part('fins', shapes.petal(0.28, 0.08, 0.34, 0.18, math.pi - draw.around(0.5, 0.4))),
        part('white', shapes.ellipse(0.6, -height * 0.25, 0.09, 0.09)),
        part('dark', shapes.ellipse(0.62, -height * 0.25, 0.045, 0.045)),
    ]
    inner_top, inner_bottom = between(middle, top, 0.93), between(middle, bottom, 0.93)
    return Figure(
        tuple(parts),
        (
            (0.87, 0.0),
            (0.6, -height * 0.25),
            inner_top,
            inner_bottom,
            between((fin_x, -height), fin_tip, 0.9),
        ),
    )


def _lamp(draw: Draw) -> Figure:
    """A desk lamp: foot, two jointed arms, and a conical shade."""
    base = (0.0, 0.9)
    lower, upper = draw.around(-2.0, 0.35), draw.around(-0.75, 0.45)
    elbow = shapes.step(base, lower, draw.around(0.85, 0.1))
    neck = shapes.step(elbow, upper, draw.around(0.8, 0.1))
    aim = draw.around(0.95, 0.5)
    length, narrow, wide = draw.around(0.5, 0.08), 0.12, draw.around(0.4, 0.08)
    mouth = shapes.step(neck, aim, length)
    side = aim + math.pi / 2.0
    left, right = shapes.step(mouth, side, wide), shapes.step(mouth, side, -wide)
    shade = shapes.polygon(shapes.step(neck, side, narrow), left, right, shapes.step(neck, side, -narrow))
    parts = [
        part('bulb', shapes.ellipse(*mouth, 0.17, 0.17)),
        part('arm', shapes.limb(base, elbow, 0.11)),
        part('arm', shapes.limb(elbow, neck, 0.11, 0.09)),
        part(
            'foot',
            shapes.sector(base[0], base[1] + 0.1, draw.around(0.42, 0.08), math.pi, 2 * math.pi, squash=0.5),
        ),
        part('shade', shade),
        part('foot', shapes.ellipse(*elbow, 0.1, 0.1)),
        part('foot', shapes.ellipse(*neck, 0.1, 0.1)),
    ]
    return Figure(tuple(parts), (base, elbow, neck, between(neck, left, 0.93), between(neck, right, 0.93)))


def _bird(draw: Draw) -> Figure:
    """A flying bird from the side: body, raised or lowered wing of two segments, tail, beak."""
    wing, bend = draw.around(-1.9, 0.7), draw.around(0.5, 0.4)
    shoulder = (0.02, -0.05)
    wrist = shapes.step(shoulder, wing, 0.45)
    tip = shapes.step(wrist, wing - bend, 0.55)
    tail = draw.around(2.95, 0.3)
    tail_end = shapes.step((-0.45, 0.05), tail, 0.5)
    head = (0.55, draw.around(-0.2, 0.1))
    parts = [
        part(
            'tail',
            shapes.polygon(
                (-0.35, 0.0),
                shapes.step(tail_end, tail + _DOWN, 0.16),
                tail_end,
                shapes.step(tail_end, tail - _DOWN, 0.16),
            ),
        ),
        part('body', shapes.ellipse(0.0, 0.05, 0.55, draw.around(0.24, 0.05))),
        part('body', shapes.limb((0.3, 0.0), head, 0.3, 0.26)),
        part('head', shapes.ellipse(*head, 0.2, 0.2)),
        part(
            'beak',
            shapes.polygon(
                (head[0] + 0.14, head[1] - 0.09), (1.0, head[1] + 0.04), (head[0] + 0.14, head[1] + 0.1)
            ),
        ),
        part('dark', shapes.ellipse(head[0] + 0.07, head[1] - 0.05, 0.045, 0.045)),
        part('feathers', shapes.petal(*wrist, 0.62, 0.3, wing - bend)),
        part('feathers', shapes.petal(*wrist, 0.5, 0.26, wing - bend - 0.5)),
        part('wing', shapes.limb(shoulder, wrist, 0.42, 0.26)),
    ]
    return Figure(
        tuple(parts),
        (
            (0.93, head[1] + 0.03),
            head,
            shoulder,
            between(wrist, tip, 0.95),
            between((-0.45, 0.05), tail_end, 0.9),
        ),
    )


ARTICULATED_FAMILIES: tuple[Family, ...] = (
    Family(
        'walker', _walker, ('head', 'left_hand', 'right_hand', 'left_foot', 'right_foot'), ((1, 2), (3, 4))
    ),
    Family('windmill', _windmill, ('hub', 'tip_1', 'tip_2', 'tip_3', 'tip_4'), ((1, 4), (2, 3))),
    Family('fish', _fish, ('nose', 'eye', 'tail_top', 'tail_bottom', 'back_fin')),
    Family('lamp', _lamp, ('base', 'elbow', 'neck', 'shade_back', 'shade_front')),
    Family('bird', _bird, ('beak', 'head', 'shoulder', 'wing_tip', 'tail')),
)
