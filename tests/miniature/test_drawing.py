"""Pictures: the shapes have their size, the control renderings agree with the frames, and PyTorch draws what NumPy draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from orrery.miniature import drawing
from orrery.miniature.scenes import Scene, held_out_scene
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, FRAMES, SIDE, Shape

SCENES = [held_out_scene(13, index) for index in range(30)]
GRID = ((np.arange(SIDE) + 0.5)[:, None], (np.arange(SIDE) + 0.5)[None, :])


def ids(scene: Scene) -> str:
    return f"{len(scene.things)}-{scene.things[0].shape}"


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("radius", [6.0, 10.5, 18.0])
def test_every_shape_has_the_area_of_its_square(shape: Shape, radius: float) -> None:
    index = np.array(drawing.SHAPES.index(shape))
    cover = drawing.coverage(index, np.array(48.3), np.array(47.6), np.array(radius), GRID, np)
    assert cover.sum() == pytest.approx(4 * radius**2, rel=0.015)


@pytest.mark.parametrize("scene", SCENES[:12], ids=ids)
def test_pytorch_draws_what_numpy_draws(scene: Scene) -> None:
    def column(values: list[object]) -> torch.Tensor:
        return torch.tensor(np.array(values), dtype=torch.float32)[..., None, None]

    tracks = [[thing.track.x, thing.track.y, thing.track.radius] for thing in scene.things]
    x, y, radius = (column([track[axis] for track in tracks]).movedim(0, 1) for axis in range(3))
    shapes = torch.tensor([drawing.SHAPES.index(thing.shape) for thing in scene.things])[None, :, None, None]
    grid = tuple(torch.tensor(axis, dtype=torch.float32) for axis in GRID)
    covers = drawing.coverage(shapes, x, y, radius, (grid[0], grid[1]), torch)
    np.testing.assert_allclose(covers.numpy(), drawing.covers(scene), atol=1e-4)
    background = torch.tensor(BACKGROUNDS[scene.background], dtype=torch.float32).expand(FRAMES, 3)
    colours = torch.tensor([COLOURS[thing.colour] for thing in scene.things], dtype=torch.float32).expand(FRAMES, -1, -1)
    picture = drawing.compose(background, colours, covers).round().to(torch.int16).numpy()
    assert np.abs(picture - drawing.frames(scene).astype(np.int16)).max() <= 1


@pytest.mark.parametrize("scene", SCENES, ids=ids)
def test_the_segmentation_is_where_the_colours_are(scene: Scene) -> None:
    labels, frames = drawing.segmentation(scene), drawing.frames(scene)
    covers = drawing.covers(scene)
    assert set(np.unique(labels)) == set(range(len(scene.things) + 1))
    assert set(map(tuple, frames[covers.max(axis=1) == 0])) == {BACKGROUNDS[scene.background]}
    for number, thing in enumerate(scene.things, start=1):
        whole = covers[:, number - 1] == 1
        assert set(map(tuple, frames[whole])) == {COLOURS[thing.colour]}
        assert set(labels[whole]) == {number}
        centres = np.stack([thing.track.y, thing.track.x], axis=1).astype(int)
        assert all(labels[frame, row, column] == number for frame, (row, column) in enumerate(centres))


@pytest.mark.parametrize("scene", SCENES, ids=ids)
def test_depth_orders_the_things_as_they_are_painted(scene: Scene) -> None:
    depth, labels = drawing.depth(scene), drawing.segmentation(scene)
    levels = [set(depth[labels == number]) for number in range(len(scene.things) + 1)]
    assert all(len(level) == 1 for level in levels)
    flat = [level.pop() for level in levels]
    assert flat == sorted(flat)
    assert (flat[0], flat[-1], len(set(flat))) == (0, 255, len(flat))


@pytest.mark.parametrize("scene", SCENES, ids=ids)
def test_edges_are_where_one_thing_ends(scene: Scene) -> None:
    edges, labels = drawing.edges(scene), drawing.segmentation(scene)
    assert set(np.unique(edges)) == {0, 255}
    inside = labels[:, 1:-1, 1:-1]
    same = [inside == labels[:, 1 + dy : SIDE - 1 + dy, 1 + dx : SIDE - 1 + dx] for dy, dx in ((0, 1), (1, 0))]
    np.testing.assert_array_equal(edges[:, 1:-1, 1:-1] == 0, np.logical_and(*same))
    assert np.all(edges.any(axis=(1, 2)))


@pytest.mark.parametrize("scene", SCENES[:6], ids=ids)
def test_the_blur_is_the_mean_over_a_box(scene: Scene) -> None:
    expected = uniform_filter(drawing.frames(scene).astype(float), size=(1, 9, 9, 1), mode="nearest")
    assert np.abs(drawing.blur(scene) - expected).max() <= 0.5 + 1e-6
