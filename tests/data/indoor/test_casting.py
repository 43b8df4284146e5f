"""Rays against parts, compared with marching along every ray and asking at each step whether it is inside something."""

import math

import numpy as np
import pytest

from ncp.data.indoor.casting import Camera, cast
from ncp.data.indoor.parts import BALL, BOX, CYLINDER, Item, Material
from ncp.data.indoor.surfaces import surface

ROOM = (4.0, 3.0, 2.5)
GREY = Material("plain", (0.5, 0.5, 0.5))
STEP = 0.004


def _camera(yaw=0.6, pitch=-0.2):
    ahead = np.array([math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    return Camera(np.array([0.5, 0.4, 1.4]), np.stack([right, np.cross(right, ahead), -ahead], 1), 1.1)


def _items():
    table = Item("table", x=2.2, y=1.7, yaw=0.4)
    table.block(1.0, 0.8, 0.7, 0.75, GREY)
    table.legs(1.0, 0.8, 0.7, 0.1, GREY)
    lamp = Item("floor lamp", x=3.0, y=1.0, yaw=-1.0)
    lamp.block(0.5, 0.3, 0.0, 1.2, GREY, kind=CYLINDER)
    ball = Item("toy", x=1.6, y=1.0, yaw=2.0)
    ball.block(0.5, 0.3, 0.2, 0.9, GREY, kind=BALL)
    behind = Item("bed", x=0.2, y=0.2, yaw=0.0)  # beside and behind the camera
    behind.block(0.3, 0.3, 0.0, 0.5, GREY)
    return [table, lamp, ball, behind]


def _inside(item, part, point):
    cos, sin = math.cos(item.yaw), math.sin(item.yaw)
    x, y = point[:, 0] - item.x, point[:, 1] - item.y
    local = np.stack([cos * x + sin * y, cos * y - sin * x, point[:, 2]], 1)
    low, high = np.array(part.low), np.array(part.high)
    scaled = (local - (low + high) / 2) / ((high - low) / 2)
    if part.kind == BOX:
        return (np.abs(scaled) <= 1).all(1)
    if part.kind == CYLINDER:
        return (scaled[:, 0] ** 2 + scaled[:, 1] ** 2 <= 1) & (np.abs(scaled[:, 2]) <= 1)
    return (scaled**2).sum(1) <= 1


@pytest.mark.parametrize(("yaw", "pitch"), [(0.6, -0.2), (0.3, -0.5)])
def test_the_nearest_part_is_where_marching_first_gets_inside_one(yaw, pitch):
    camera, items = _camera(yaw, pitch), _items()
    rays = camera.rays((24, 24))
    hits = cast(camera, rays, ROOM, items)
    seen = checked = agreeing = 0
    for row, column in np.argwhere(np.ones((24, 24)))[::3]:
        ray = rays[row, column].astype(float)
        depth = np.arange(0.05, 6.0, STEP / np.linalg.norm(ray))
        point = camera.place + depth[:, None] * ray
        outside = ~((point >= 0) & (point <= ROOM)).all(1)
        first, what = depth[outside.argmax()], -1
        for number, item in enumerate(items):
            for part in item.parts:
                inside = _inside(item, part, point)
                if inside.any() and depth[inside.argmax()] < first:
                    first, what = depth[inside.argmax()], number
        found = hits.depth[row, column]
        checked += 1
        agreeing += abs(first - found) <= 2 * STEP and hits.item[row, column] == what
        seen += what >= 0
    assert seen > 12
    assert agreeing >= checked - 1  # a ray that grazes an edge within a step may be told apart


def test_normals_are_those_of_the_plane_through_neighbouring_points_and_face_the_camera():
    camera, items = _camera(), _items()
    rays = camera.rays((96, 96))
    hits = cast(camera, rays, ROOM, items)
    seen = surface(camera, np.ascontiguousarray(rays.reshape(-1, 3).T), hits, ROOM, items, [GREY] * 6)
    point, normal = (a.T.reshape(96, 96, 3).astype(float) for a in (seen.point, seen.normal))
    assert (np.einsum("hwc,hwc->hw", normal, rays) < 0).all()
    np.testing.assert_allclose(np.linalg.norm(normal, axis=2), 1, atol=1e-5)
    right, down = point[:-1, 1:] - point[:-1, :-1], point[1:, :-1] - point[:-1, :-1]
    plane = np.cross(down, right)
    plane /= np.linalg.norm(plane, axis=2, keepdims=True)
    agree = np.einsum("hwc,hwc->hw", plane, normal[:-1, :-1])
    same = np.ones((95, 95), bool)
    for other in (normal[:-1, 1:], normal[1:, :-1]):
        same &= (np.abs(other - normal[:-1, :-1]) < 1e-4).all(2)
    for other in (np.s_[:-1, 1:], np.s_[1:, :-1]):
        same &= (hits.part[other] == hits.part[:-1, :-1]) & (hits.item[other] == hits.item[:-1, :-1])
    assert same.mean() > 0.7
    assert (agree[same] > 0.999).mean() > 0.995
    bent = (hits.item == 2)[:-1, :-1] & (hits.item == 2)[1:, 1:]
    assert bent.sum() > 40
    assert np.median(agree[bent]) > 0.97


def test_a_rays_own_direction_parallel_to_a_wall_still_meets_one():
    turn = np.stack([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]], 1)
    camera = Camera(np.array([1.0, 1.5, 1.2]), turn, 1.0)
    hits = cast(camera, camera.rays((3, 3)), ROOM, [])
    assert hits.part[1, 1] == 1  # the far wall along x
    assert hits.depth[1, 1] == pytest.approx(3.0, abs=1e-4)
