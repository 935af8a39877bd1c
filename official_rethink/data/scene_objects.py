"""The detection classes of the built-in scenes: ten families of composite or articulated objects.

Colours and textures are the renderer's and are drawn per object, so only parts and their arrangement tell
the classes apart. Every family has five key points, some of which trade names under mirroring.
"""

import math

from official_rethink.data import scene_shapes as shapes
from official_rethink.data.scene_shapes import Draw, Family, Figure, part

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


def _car(draw: Draw) -> Figure:
    """A car from the side: body, cabin with windows, two wheels; from hatchback to pick-up."""
    length, height = 1.0, draw.around(0.3, 0.06)
    cabin_height = draw.around(0.36, 0.08)
    rear, front = draw.around(-0.62, 0.2), draw.around(0.38, 0.14)
    slope = draw.around(0.22, 0.1)
    roof = -cabin_height
    wheel = draw.around(0.21, 0.03)
    wheel_y = height + 0.02
    rear_x, front_x = draw.around(-0.58, 0.06), draw.around(0.58, 0.06)
    body = shapes.polygon(
        (-length, 0.06),
        (-length * 0.96, -0.02),
        (0.55, -0.02),
        (0.9, 0.05),
        (length, 0.14),
        (length, height),
        (-length, height),
    )
    cabin = shapes.polygon(
        (rear - slope * 0.4, 0.0), (rear, roof), (front - slope, roof), (front + slope * 0.4, 0.0)
    )
    split = (rear + front - slope) / 2.0
    windows = [
        shapes.polygon(
            (rear + 0.02, -0.03),
            (rear + 0.07, roof + 0.07),
            (split - 0.03, roof + 0.07),
            (split - 0.03, -0.03),
        ),
        shapes.polygon(
            (split + 0.03, -0.03),
            (split + 0.03, roof + 0.07),
            (front - slope - 0.02, roof + 0.07),
            (front + slope * 0.1, -0.03),
        ),
    ]
    parts = [part('body', cabin), *(part('glass', window) for window in windows), part('body', body)]
    parts.append(part('trim', shapes.box(0.94, 0.14, 0.1, 0.1)))
    for x in (rear_x, front_x):
        parts.append(part('tyre', shapes.ellipse(x, wheel_y, wheel, wheel)))
        parts.append(part('trim', shapes.ellipse(x, wheel_y, wheel * 0.5, wheel * 0.5)))
    roof_point = (split, roof + 0.02)
    return Figure(
        tuple(parts), ((rear_x, wheel_y), (front_x, wheel_y), roof_point, (-0.95, 0.1), (0.95, 0.2))
    )


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
    inner_top, inner_bottom = _between(middle, top, 0.93), _between(middle, bottom, 0.93)
    return Figure(
        tuple(parts),
        (
            (0.87, 0.0),
            (0.6, -height * 0.25),
            inner_top,
            inner_bottom,
            _between((fin_x, -height), fin_tip, 0.9),
        ),
    )


def _house(draw: Draw) -> Figure:
    """A house: walls, roof, chimney, door and a changing number of windows."""
    half, wall = draw.around(0.68, 0.14), draw.around(0.75, 0.12)
    roof, eave = draw.around(0.62, 0.16), draw.around(0.14, 0.06)
    ridge = draw.around(0.2, 0.2)
    top = 1.0 - wall - roof
    chimney_x = half * draw.around(0.55, 0.15)
    door_x = half * draw.around(-0.35, 0.2)
    chimney_top = top + draw.around(0.05, 0.1)
    parts = [
        part('chimney', shapes.box(chimney_x, chimney_top + 0.25, 0.2, 0.55)),
        part('wall', shapes.box(0.0, 1.0 - wall / 2.0, 2.0 * half, wall)),
        part(
            'roof',
            shapes.polygon(
                (-half - eave, 1.0 - wall), (-ridge, top), (ridge, top), (half + eave, 1.0 - wall)
            ),
        ),
        part('door', shapes.box(door_x, 1.0 - wall * 0.3, half * 0.42, wall * 0.6)),
    ]
    for column in range(draw.count(1, 2)):
        x = half * (0.3 + 0.42 * column)
        parts.append(part('trim', shapes.box(x, 1.0 - wall * 0.55, half * 0.34, wall * 0.38)))
        parts.append(part('glass', shapes.box(x, 1.0 - wall * 0.55, half * 0.24, wall * 0.27)))
    eaves_y = 1.0 - wall - 0.04
    points = (
        (0.0, top + 0.05),
        (-half - eave * 0.6, eaves_y),
        (half + eave * 0.6, eaves_y),
        (door_x, 1.0 - wall * 0.3),
        (chimney_x, chimney_top + 0.03),
    )
    return Figure(tuple(parts), points)


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
    return Figure(tuple(parts), (base, elbow, neck, _between(neck, left, 0.93), _between(neck, right, 0.93)))


def _flower(draw: Draw) -> Figure:
    """A flower: bent stem, two leaves, and a head of five to nine petals."""
    centre = (draw.around(0.0, 0.15), -0.42)
    foot = (draw.around(0.0, 0.2), 1.0)
    middle = ((centre[0] + foot[0]) / 2.0 + draw.around(0.0, 0.2), 0.3)
    count = draw.count(5, 9)
    length, turn = draw.around(0.5, 0.08), draw.around(0.3, 0.3)
    width = draw.around(1.9, 0.4) * math.pi * length * 0.62 / count
    left, right = draw.around(-2.5, 0.3), draw.around(-0.6, 0.3)
    leaf = draw.around(0.55, 0.12)
    parts = [
        part('stem', shapes.limb(foot, middle, 0.1)),
        part('stem', shapes.limb(middle, centre, 0.1)),
        part('stem', shapes.petal(middle[0], middle[1] + 0.15, leaf, 0.26, left)),
        part('stem', shapes.petal(middle[0], middle[1] + 0.05, leaf, 0.26, right)),
    ]
    for index in range(count):
        angle = turn + index * 2.0 * math.pi / count
        parts.append(
            part('petals' if index % 2 else 'petals_odd', shapes.petal(*centre, length, width, angle))
        )
    radius = draw.around(0.19, 0.05)
    parts.append(part('heart', shapes.ellipse(*centre, radius, radius)))
    tips = [
        shapes.step((middle[0], middle[1] + drop), angle, leaf * 0.92)
        for drop, angle in ((0.15, left), (0.05, right))
    ]
    return Figure(tuple(parts), (centre, middle, (foot[0], foot[1] - 0.03), tips[0], tips[1]))


def _key(draw: Draw) -> Figure:
    """A key: a bow with a hole, a shaft with a collar, and two to four teeth."""
    radius = draw.around(0.36, 0.06)
    hole = radius * draw.around(0.55, 0.1)
    shaft = draw.around(0.13, 0.03)
    centre = (-1.0 + radius, 0.0)
    end = 1.0
    bow = shapes.ellipse(*centre, radius, radius * draw.around(1.1, 0.15))
    if draw.chance(0.4):
        bow = shapes.star(*centre, radius * 1.15, radius * 0.9, 4 + draw.count(0, 2))
    parts = [
        part(
            'metal', shapes.box((centre[0] + end) / 2.0 + radius / 2.0, 0.0, end - centre[0] - radius, shaft)
        ),
        part('metal', bow, shapes.ellipse(*centre, hole, hole)),
        part('collar', shapes.box(centre[0] + radius + 0.1, 0.0, 0.1, shaft * 2.0)),
    ]
    teeth = draw.count(2, 4)
    depth = draw.around(0.28, 0.06)
    for tooth in range(teeth):
        deep = depth * (1.0 if tooth % 2 == 0 else draw.around(0.7, 0.25))
        parts.append(
            part('metal', shapes.box(end - 0.06 - tooth * 0.17, shaft * 0.4 + deep / 2.0, 0.11, deep))
        )
    points = (
        (centre[0] - (radius + hole) / 2.0, 0.0),
        (centre[0] + (radius + hole) / 2.0, 0.0),
        (centre[0] + radius + 0.1, 0.0),
        (end - 0.03, 0.0),
        (end - 0.06, shaft * 0.4 + depth * 0.9),
    )
    return Figure(tuple(parts), points)


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
        part('wing', shapes.polygon((0.3, -0.02), (-0.3, 0.0), wrist)),
        part('wing', shapes.polygon(shapes.step(wrist, wing + 1.9, 0.16), (-0.3, 0.0), tip, wrist)),
    ]
    return Figure(
        tuple(parts),
        (
            (0.93, head[1] + 0.03),
            head,
            shoulder,
            _between(wrist, tip, 0.9),
            _between((-0.45, 0.05), tail_end, 0.9),
        ),
    )


def _boat(draw: Draw) -> Figure:
    """A sailing boat: hull, mast, main sail and a smaller jib, with a pennant."""
    mast_x, mast_top = draw.around(-0.05, 0.12), draw.around(-0.95, 0.05)
    boom = 0.42
    clew = (mast_x - draw.around(0.7, 0.12), boom + draw.around(0.0, 0.08))
    hull_top, depth = 0.55, draw.around(0.36, 0.06)
    parts = [
        part('mast', shapes.limb((mast_x, mast_top), (mast_x, hull_top + 0.05), 0.07)),
        part('sail', shapes.polygon((mast_x - 0.05, mast_top + 0.1), clew, (mast_x - 0.05, boom))),
        part(
            'jib',
            shapes.polygon(
                (mast_x + 0.06, mast_top + draw.around(0.3, 0.15)),
                (draw.around(0.8, 0.1), boom),
                (mast_x + 0.06, boom),
            ),
        ),
        part(
            'hull',
            shapes.polygon(
                (-0.95, hull_top), (1.0, hull_top), (0.68, hull_top + depth), (-0.75, hull_top + depth)
            ),
        ),
        part(
            'trim',
            shapes.polygon(
                (-0.95, hull_top), (1.0, hull_top), (0.92, hull_top + 0.09), (-0.91, hull_top + 0.09)
            ),
        ),
        part(
            'trim',
            shapes.polygon((mast_x, mast_top), (mast_x + 0.3, mast_top + 0.08), (mast_x, mast_top + 0.16)),
        ),
    ]
    return Figure(
        tuple(parts),
        (
            (mast_x, mast_top + 0.03),
            _between((mast_x, boom), clew, 0.92),
            (0.93, hull_top + 0.04),
            (-0.89, hull_top + 0.04),
            (0.0, hull_top + depth - 0.04),
        ),
    )


def _between(start: shapes.Point, end: shapes.Point, share: float) -> shapes.Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


DETECTION_FAMILIES: tuple[Family, ...] = (
    Family(
        'walker', _walker, ('head', 'left_hand', 'right_hand', 'left_foot', 'right_foot'), ((1, 2), (3, 4))
    ),
    Family('windmill', _windmill, ('hub', 'tip_1', 'tip_2', 'tip_3', 'tip_4'), ((1, 4), (2, 3))),
    Family('car', _car, ('rear_wheel', 'front_wheel', 'roof', 'rear', 'front')),
    Family('fish', _fish, ('nose', 'eye', 'tail_top', 'tail_bottom', 'back_fin')),
    Family('house', _house, ('ridge', 'left_eave', 'right_eave', 'door', 'chimney'), ((1, 2),)),
    Family('lamp', _lamp, ('base', 'elbow', 'neck', 'shade_back', 'shade_front')),
    Family('flower', _flower, ('heart', 'bend', 'stem_foot', 'left_leaf', 'right_leaf'), ((3, 4),)),
    Family('key', _key, ('bow_end', 'bow_neck', 'collar', 'tip', 'tooth')),
    Family('bird', _bird, ('beak', 'head', 'shoulder', 'wing_tip', 'tail')),
    Family('boat', _boat, ('mast_top', 'clew', 'bow', 'stern', 'keel')),
)
