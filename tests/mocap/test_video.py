"""Clips: times, order, rotation, seeking, image folders, and files that are broken."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mocap.errors import InputError
from mocap.video import ClipWriter, find_clips, frames, natural_order, open_clip

SIZE = (96, 64)


def picture(index: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """An image that tells its number by the brightness of its lower half; its upper left corner is red."""
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    rgb[size[1] // 2 :] = 20 + 3 * index
    rgb[: size[1] // 4, : size[0] // 4] = (255, 0, 0)
    return rgb


def number(rgb: NDArray[np.uint8]) -> int:
    return round((float(rgb[-rgb.shape[0] // 4 :].mean()) - 20) / 3)


def make_clip(path: Path, count: int = 60, rate_hz: float = 30.0, times_s: list[float] | None = None) -> Path:
    with ClipWriter(path, SIZE, rate_hz, crf=12) as writer:
        for index in range(count):
            writer.write(picture(index), None if times_s is None else times_s[index])
    return path


def remuxed(source: Path, target: Path, **options: str) -> Path:
    """The same packets in another container, by the target's suffix (AVI is encoded again)."""
    if target.suffix == ".avi":
        with av.open(str(source)) as given, av.open(str(target), "w") as made:
            stream = made.add_stream("mpeg4", rate=30, options={"g": "25"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.max_b_frames = 2
            pictures = [frame.to_ndarray(format="rgb24") for frame in given.decode(video=0)]
            for rgb in [*pictures, None]:
                image = None if rgb is None else av.VideoFrame.from_ndarray(rgb, format="rgb24")
                made.mux(stream.encode(image))
        return target
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return target


def turned(source: Path, target: Path, matrix: tuple[int, ...]) -> Path:
    """The same file with another display matrix in its track header, as phones write it."""
    data = bytearray(source.read_bytes())
    place = (
        data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    )  # version and flags, times and ids, reserved, layer to volume
    for number_, value in enumerate(matrix):
        data[place + 4 * number_ : place + 4 * number_ + 4] = value.to_bytes(4, "big", signed=True)
    target.write_bytes(data)
    return target


def test_frames_come_in_order_with_their_times(tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4"))
    assert (clip.size_px, clip.num_frames, clip.num_frames_exact) == (SIZE, 60, True)
    assert clip.rate_hz == pytest.approx(30)
    assert clip.duration_s == pytest.approx(2)
    seen = list(frames(clip))
    assert [frame.index for frame in seen] == list(range(60))
    assert [number(frame.rgb) for frame in seen] == list(range(60))  # B-frames are back in order
    np.testing.assert_allclose([frame.time_s for frame in seen], np.arange(60) / 30, atol=1e-6)
    assert seen[0].rgb.shape == (64, 96, 3)
    assert seen[0].rgb.dtype == np.uint8


def test_variable_rate_keeps_the_true_times(tmp_path: Path) -> None:
    steps = np.random.default_rng(3).choice([1 / 30, 1 / 60, 0.1, 0.25], 40)
    times_s = np.cumsum(steps) - steps[0]
    clip = open_clip(make_clip(tmp_path / "vfr.mp4", 41, times_s=[*times_s, times_s[-1] + 0.5]))
    seen = [frame.time_s for frame in frames(clip)]
    np.testing.assert_allclose(
        seen[:40], times_s, atol=0.5 / 300
    )  # the writer's clock has 300 ticks a second


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_seeking_gives_the_frames_that_reading_from_the_beginning_gives(
    tmp_path: Path, long_clip: Path, suffix: str
) -> None:
    clip = open_clip(remuxed(long_clip, tmp_path / f"a.{suffix}"))
    whole = list(frames(clip))
    assert len(whole) == 360
    for start_s in (0.01, 1 / 3, 2.5, 9.0, whole[-1].time_s, 40.0):
        wanted = [frame for frame in whole if frame.time_s >= start_s]
        seen = list(frames(clip, start_s=start_s))
        assert [(frame.index, frame.time_s) for frame in seen] == [
            (frame.index, frame.time_s) for frame in wanted
        ]
        assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(seen, wanted, strict=True))


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s with noise, so that wrong reference frames would show; several key frames."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    random = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=30, options={"g": "40", "keyint_min": "9", "x264opts": "open-gop"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(360):
            rgb = np.roll(random.integers(0, 255, (48, 64, 3), np.uint8) // 4 + 60, index, 1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def test_an_edit_list_that_hides_the_first_frames(tmp_path: Path) -> None:
    """Cutting without encoding leaves frames before the cut in the file: not shown, not counted."""
    whole = open_clip(make_clip(tmp_path / "a.mp4"))
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole.path)) as given, av.open(str(cut), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        shift = round(10.5 / 30 / given.streams.video[0].time_base)
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.dts, packet.pts, packet.stream = packet.dts - shift, packet.pts - shift, stream
                made.mux(packet)
    clip = open_clip(cut)
    seen = list(frames(clip))
    assert clip.num_frames == len(seen) < 60
    assert seen[0].time_s == 0
    assert [number(frame.rgb) for frame in seen] == list(range(60 - len(seen), 60))
    later = list(frames(clip, start_s=1.0))
    assert [(frame.index, frame.time_s) for frame in later] == [
        (frame.index, frame.time_s) for frame in seen if frame.time_s >= 1.0
    ]


ONE = 1 << 16
QUARTERS = {  # display matrices that phones write, and where the stored upper left corner comes to lie
    90: ((0, ONE, 0, -ONE, 0, 0, 64 << 16, 0, 1 << 30), (0, -1)),
    180: ((-ONE, 0, 0, 0, -ONE, 0, 96 << 16, 64 << 16, 1 << 30), (-1, -1)),
    270: ((0, -ONE, 0, ONE, 0, 0, 0, 96 << 16, 1 << 30), (-1, 0)),
}


@pytest.mark.parametrize("clockwise_deg", QUARTERS)
def test_a_phone_held_upright_gives_upright_images(tmp_path: Path, clockwise_deg: int) -> None:
    matrix, corner = QUARTERS[clockwise_deg]
    clip = open_clip(turned(make_clip(tmp_path / "a.mp4", 3), tmp_path / "b.mp4", matrix))
    assert clip.size_px == (SIZE if clockwise_deg == 180 else SIZE[::-1])
    frame = next(iter(frames(clip)))
    assert (frame.rgb.shape[1], frame.rgb.shape[0]) == clip.size_px
    corners = [(row, column) for row in (0, -1) for column in (0, -1) if frame.rgb[row, column, 0] > 200]
    assert corners == [corner]


def test_images_in_natural_order(tmp_path: Path) -> None:
    for index in range(12):
        Image.fromarray(picture(index)).save(tmp_path / f"img{index}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    clip = open_clip(tmp_path, image_rate_hz=10)
    assert (clip.size_px, clip.num_frames, clip.duration_s) == (SIZE, 12, pytest.approx(1.2))
    assert [number(frame.rgb) for frame in frames(clip)] == list(range(12))
    assert [(frame.index, frame.time_s) for frame in frames(clip, start_s=1.0)] == [(10, 1.0), (11, 1.1)]


def test_images_follow_their_orientation_tag(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    Image.fromarray(picture(0)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    clip = open_clip(tmp_path)
    assert clip.size_px == SIZE[::-1]
    assert next(iter(frames(clip))).rgb[2, -3, 0] > 200


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    Image.fromarray(picture(0, (32, 32))).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"b\.png: the image is 32x32"):
        list(frames(open_clip(tmp_path)))


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"b\.png: this image cannot be read"):
        list(frames(open_clip(tmp_path)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"just some words\n" * 100, "no video that can be read"),
        (
            b"\0\0\0\x14ftypisom\0\0\0\0isom\0\1\0\0mdat" + b"x" * 900,
            "its index is missing, so that 0 frames",
        ),
    ],
)
def test_what_is_no_video(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "cam.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_clip(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "cam.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 44100
        for packet in [*stream.encode(sound), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(InputError, match="there is no video in this file"):
        open_clip(path)


def test_a_missing_file_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such video"):
        open_clip(tmp_path / "cam.mp4")
    with pytest.raises(InputError, match="no jpg or png images"):
        open_clip(tmp_path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_cut_off_video_says_what_can_be_read(tmp_path: Path, long_clip: Path, suffix: str) -> None:
    options = {"movflags": "faststart"} if suffix == "mp4" else {}
    whole = remuxed(long_clip, tmp_path / f"whole.{suffix}", **options)
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(
        InputError, match=r"cut off at .* MB: \d+( of 360)? frames \(\d\.\d+ s\) can be read"
    ) as caught:
        open_clip(cut)
    count = int(str(caught.value).split(" MB: ")[1].split()[0])
    assert 200 < count < 270
    assert "copy it again" in str(caught.value)
    open_clip(whole)  # and the whole one is not called cut off


def test_a_cut_off_recording_with_its_index_at_the_end(tmp_path: Path, long_clip: Path) -> None:
    data = long_clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError, match="its index is missing"):
        open_clip(cut)


def test_damage_inside_a_video_says_how_far_it_could_be_read(tmp_path: Path, long_clip: Path) -> None:
    data = bytearray(remuxed(long_clip, tmp_path / "whole.mp4", movflags="faststart").read_bytes())
    with av.open(str(tmp_path / "whole.mp4")) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    start, size = places[200]
    data[start : start + size] = b"\xff" * size
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    clip = open_clip(path)
    with pytest.raises(InputError, match=r"damaged: only 1\d\d of 360 frames \(\d\.\d+ s\) could be read"):
        list(frames(clip))


def test_clips_of_a_folder(tmp_path: Path) -> None:
    for name in ("cam10.mp4", "cam2.MOV", "notes.txt", ".cam3.mp4.part", ".hidden.mp4"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("cam1/1.jpg", "keypoints/cam1.npz"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    found = find_clips(tmp_path)
    assert list(found) == ["cam1", "cam2", "cam10"]
    assert found["cam2"] == tmp_path / "cam2.MOV"
    assert find_clips(tmp_path / "nowhere") == {}
    (tmp_path / "cam1.avi").write_bytes(b"x")
    with pytest.raises(InputError, match="two clips for the camera 'cam1'"):
        find_clips(tmp_path)


def test_natural_order() -> None:
    assert sorted(["b1", "a10", "a9", "A1x"], key=natural_order) == ["A1x", "a9", "a10", "b1"]


def test_the_writer_gives_the_same_bytes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    assert make_clip(tmp_path / "a.mp4").read_bytes() == make_clip(tmp_path / "b.mp4").read_bytes()
    with pytest.raises(ZeroDivisionError), ClipWriter(tmp_path / "c.mp4", SIZE, 30) as writer:
        writer.write(picture(0))
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    with pytest.raises(ValueError, match="even"):
        ClipWriter(tmp_path / "d.mp4", (95, 64), 30)
    with pytest.raises(ValueError, match="must be"), ClipWriter(tmp_path / "d.mp4", SIZE, 30) as writer:
        writer.write(picture(0, (64, 96)))


@pytest.mark.parametrize("rate_hz", [29.97, 60000 / 1001, 25.0, 120.0])
def test_odd_rates_survive(tmp_path: Path, rate_hz: float) -> None:
    clip = open_clip(make_clip(tmp_path / "a.mp4", 20, rate_hz))
    assert clip.rate_hz == pytest.approx(rate_hz, rel=1e-5)
    np.testing.assert_allclose([frame.time_s for frame in frames(clip)], np.arange(20) / rate_hz, atol=1e-5)
