"""Detection classes of the built-in scenes that are put together of rigid parts in changing proportions."""

import math

from official_rethink.data import scene_shapes as shapes
from official_rethink.data.scene_shapes import Draw, Family, Figure, between, part


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
            between((mast_x, boom), clew, 0.92),
            (0.93, hull_top + 0.04),
            (-0.89, hull_top + 0.04),
            (0.0, hull_top + depth - 0.04),
        ),
    )


COMPOSITE_FAMILIES: tuple[Family, ...] = (
    Family('car', _car, ('rear_wheel', 'front_wheel', 'roof', 'rear', 'front')),
    Family('house', _house, ('ridge', 'left_eave', 'right_eave', 'door', 'chimney'), ((1, 2),)),
    Family('flower', _flower, ('heart', 'bend', 'stem_foot', 'left_leaf', 'right_leaf'), ((3, 4),)),
    Family('key', _key, ('bow_end', 'bow_neck', 'collar', 'tip', 'tooth')),
    Family('boat', _boat, ('mast_top', 'clew', 'bow', 'stern', 'keel')),
)
