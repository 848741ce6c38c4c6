"""The command line: it parses, calls one function, and prints what that returned."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mocap.errors import MocapError
from mocap.terminal import ProgressLine, as_text

UNUSABLE = 3
"""Exit code of a result that must not be trusted."""
REFUSED = 2
INTERRUPTED = 130
BROKEN = 1
"""Exit code of a fault of this program."""

app = typer.Typer(
    name="mocap",
    help="Footage from two or more ordinary cameras in, clean character animation out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SessionFolder = Annotated[Path, typer.Argument(help="The session's folder.", show_default=False)]
TakeName = Annotated[str | None, typer.Option("--take", help="Only this take.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, as section.key=value; may be repeated.")
]
DetectorName = Annotated[str | None, typer.Option(help="Family of networks; see mocap models list.")]
Quality = Annotated[
    str | None, typer.Option(help="fast, standard or best: network, and averaging with the mirror image.")
]
Hands = Annotated[bool, typer.Option("--hands", help="Find the fingers, too; the setting detect.hands.")]
Json = Annotated[bool, typer.Option("--json", help="Print a summary for programs as the last line.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Tell more, and show tracebacks.")]


@app.command()
def new(
    session: SessionFolder,
    take: Annotated[list[str] | None, typer.Option(help="Name of a take to make a folder for.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Make a session: its folders and a commented session.toml."""
    from mocap.session import Session

    made = Session.create(session, takes=take or ("take1",))
    return _say(
        as_json,
        {"session": str(made.root), "settings": str(made.settings_file)},
        f"made {made.root}: board clips go into calibration/extrinsics/<camera>.mp4, "
        f"the clips of a take into takes/{(take or ['take1'])[0]}/<camera>.mp4",
    )


@app.command()
def board(
    out: Annotated[Path, typer.Option(help="The PDF to write.")] = Path("board.pdf"),
    session: Annotated[Path | None, typer.Option(help="Print the board of this session.")] = None,
    page: Annotated[str, typer.Option(help="A4, A3 or letter.")] = "A4",
    overlap: Annotated[float, typer.Option(help="Strips that the pages of a large board share, mm.")] = 8.0,
    overrides: Overrides = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Write a printable board, true to scale."""
    from mocap.commands import board as make

    made = make(out, session=session, page=page, overlap_mm=overlap, overrides=overrides or ())
    return _say(
        as_json,
        made,
        f"wrote {made['file']}: print at 100 %, then measure the ruler and one square, and put the measured "
        "square_m into session.toml",
    )


@app.command()
def calibrate(
    session: SessionFolder,
    from_take: Annotated[
        str | None, typer.Option(help="Use the people of this take: no board is needed.")
    ] = None,
    height: Annotated[
        float | None, typer.Option(help="With --from-take: the person's height in metres, for the scale.")
    ] = None,
    refine_from_take: Annotated[
        str | None, typer.Option(help="Correct the cameras by the people of this take: one was bumped.")
    ] = None,
    align: Annotated[
        Path | None, typer.Option(help="Cameras of an older calibration, whose world is taken over.")
    ] = None,
    distance: Annotated[
        list[str] | None,
        typer.Option(metavar='"CAM1 CAM2=M"', help="Metres between two cameras' lenses, for the scale."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Calibrate the cameras; exit 3 when the result must not be trusted."""
    from mocap.pipeline import calibrate as work

    settings = list(overrides or ())
    if align is not None:
        settings.append(f"world.align={json.dumps(str(align.absolute()))}")
    if distance:
        pairs = (text.rpartition("=") for text in distance)
        lengths = ", ".join(f"{json.dumps(pair.strip())} = {metres}" for pair, _, metres in pairs)
        settings.append(f"world.distances_m={{{lengths}}}")
    outcome = work(
        session,
        from_take=from_take,
        refine_from=refine_from_take,
        height_m=height,
        overrides=settings,
        progress=ProgressLine(),
    )
    return _outcome(as_json, outcome)


@app.command()
def cameras(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A session, or another tool's calibration.")],
    target: Annotated[
        Path | None, typer.Argument(metavar="[OUT]", help="A session, or the file to write.")
    ] = None,
    source_format: Annotated[
        str | None, typer.Option("--from", help="Format of IN, where it is not clear.")
    ] = None,
    target_format: Annotated[
        str | None, typer.Option("--to", help="Format of OUT, where it is not clear.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="m, cm, mm or in: lengths in IN.")] = None,
    binning: Annotated[
        int | None, typer.Option(help="Sensor pixels for one of the footage (Qualisys).")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace OUT if it exists.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Show or convert calibration files of other tools."""
    from mocap.commands import cameras as convert

    table = convert(
        source,
        target,
        source_format=source_format,
        target_format=target_format,
        unit=unit,
        binning=binning,
        force=force,
    )
    return _say(as_json, table, as_text(table["cameras"]) + (f"\nwrote {table['file']}" if target else ""))


@app.command()
def run(
    session: SessionFolder,
    take: TakeName = None,
    detector: DetectorName = None,
    quality: Quality = None,
    hands: Hands = False,
    overrides: Overrides = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Every missing or stale stage of every take, to the exports."""
    from mocap.pipeline import run as work

    settings = [*_detecting(detector, quality, hands), *(overrides or ())]
    return _outcome(as_json, work(session, take=take, overrides=settings, progress=ProgressLine()))


def _stage_command(stage: str, summary: str) -> None:
    def command(
        session: SessionFolder,
        take: TakeName = None,
        overrides: Overrides = None,
        as_json: Json = False,
        verbose: Verbose = False,
    ) -> int:
        from mocap.pipeline import run_stage

        progress = ProgressLine()
        return _outcome(
            as_json, run_stage(stage, session, take=take, overrides=overrides or (), progress=progress)
        )

    app.command(name=stage, help=summary)(command)


_stage_command("sync", "Put the cameras' clocks together.")


@app.command()
def detect(
    session: SessionFolder,
    take: TakeName = None,
    detector: DetectorName = None,
    quality: Quality = None,
    hands: Hands = False,
    overrides: Overrides = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Find 2D keypoints in every view."""
    from mocap.pipeline import run_stage

    settings = [*_detecting(detector, quality, hands), *(overrides or ())]
    return _outcome(
        as_json, run_stage("detect", session, take=take, overrides=settings, progress=ProgressLine())
    )


def _detecting(detector: str | None, quality: str | None, hands: bool = False) -> list[str]:
    """The settings that the options stand for; ``--set`` goes over them."""
    settings = [] if detector is None else [f"detect.detector={json.dumps(detector)}"]
    if quality is not None:
        from mocap.detect.network_family import QUALITIES
        from mocap.errors import ConfigError

        if quality not in QUALITIES:
            raise ConfigError(
                f"{quality!r} is no quality", where="--quality", todo=f"choose from {', '.join(QUALITIES)}"
            )
        settings += [f"detect.variant={quality}", f"detect.mirror={json.dumps(quality == 'best')}"]
    return [*settings, "detect.hands=true"] if hands else settings


_stage_command("reconstruct", "Triangulate the 2D keypoints.")


@app.command()
def fit(
    session: SessionFolder,
    take: TakeName = None,
    shape: Annotated[
        Path | None, typer.Option(help="A motion file of the same person, whose shape is taken over.")
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Fit the body to what the cameras saw."""
    from mocap.pipeline import run_stage

    settings = list(overrides or ())
    if shape is not None:
        settings.append(f"fit.shape={json.dumps(str(shape))}")
    return _outcome(
        as_json, run_stage("fit", session, take=take, overrides=settings, progress=ProgressLine())
    )


@app.command()
def export(
    session: SessionFolder,
    take: TakeName = None,
    formats: Annotated[str | None, typer.Option("--format", help="Formats, separated by commas.")] = None,
    rig: Annotated[
        str | None, typer.Option(help="The skeleton: a preset, a .toml, or a character's .fbx, .bvh, .glb.")
    ] = None,
    rest: Annotated[str | None, typer.Option(help="Pose at rest: rig (the rig's own) or t.")] = None,
    root_motion: Annotated[str | None, typer.Option(help="full, ground or 'in place'.")] = None,
    start: Annotated[float | None, typer.Option("--from", help="Where the clip begins, seconds.")] = None,
    end: Annotated[float | None, typer.Option("--to", help="Where the clip ends, seconds.")] = None,
    rate: Annotated[float | None, typer.Option(help="Frames a second, resampled by time.")] = None,
    loop: Annotated[bool, typer.Option(help="End where the pose is most like the first.")] = False,
    one_file: Annotated[bool, typer.Option(help="All people in one file.")] = False,
    program: Annotated[str | None, typer.Option("--for", help="Program that the files are for.")] = None,
    overrides: Overrides = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Write the motion for other programs."""
    from mocap.pipeline import run_stage

    settings = list(overrides or ())
    if program:
        from exporters import target

        wanted = target(program)
        settings.append(f"export.target={json.dumps(program)}")
        settings.append("export.cameras=" + json.dumps(wanted.cameras))
        formats, rig = formats or wanted.format, rig or wanted.rig
    if formats:
        settings.append("export.formats=" + json.dumps([name.strip() for name in formats.split(",")]))
    texts = {"rig": rig, "rest": rest, "root_motion": root_motion}
    numbers = {"start_s": start, "end_s": end, "rate_hz": rate}
    settings += [f"export.{key}={json.dumps(value)}" for key, value in texts.items() if value]
    settings += [f"export.{key}={float(value)}" for key, value in numbers.items() if value is not None]
    settings += [f"export.{key}=true" for key, on in {"loop": loop, "one_file": one_file}.items() if on]
    return _outcome(
        as_json, run_stage("export", session, take=take, overrides=settings, progress=ProgressLine())
    )


@app.command(name="import")
def import_(
    session: SessionFolder,
    source: Annotated[Path, typer.Argument(metavar="PATH", help="Another tool's file or folder.")],
    take: Annotated[str, typer.Option("--take", help="The take that gets the keypoints.")],
    source_format: Annotated[
        str | None, typer.Option("--format", help="openpose, deeplabcut …; by default the content says it.")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="The camera, where there is one.")] = None,
    fps: Annotated[float | None, typer.Option(help="The rate that frame numbers count in.")] = None,
    size: Annotated[str | None, typer.Option(help="Width x height of the images, as 1920x1080.")] = None,
    keypoints: Annotated[
        str | None, typer.Option(help="A keypoint set, or names separated by commas, in files' order.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace keypoints that are there.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Take over the 2D results of another tool."""
    from mocap.commands import parsed_size
    from mocap.import_take import import_keypoints

    result = import_keypoints(
        session,
        source,
        take=take,
        format=source_format,
        camera=camera,
        fps=fps,
        size_px=parsed_size(size),
        keypoints=keypoints,
        force=force,
    )
    return _say(as_json, vars(result), result.text())


@app.command("import-motion")
def import_motion(
    session: Annotated[Path, typer.Argument(help="The session that gets the motion; made if missing.")],
    files: Annotated[list[Path], typer.Argument(help="BVH, FBX, GLB or AMC files; each becomes a person.")],
    take: Annotated[str, typer.Option(help="The take that gets the motion.")] = "take1",
    rig: Annotated[
        str | None, typer.Option(help="Whose joint names they have: a preset or a .toml; told if left out.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="m, cm, mm, inch or cmu, where it is not clear.")] = None,
    up: Annotated[str | None, typer.Option(help="y or z, where it is not clear.")] = None,
    force: Annotated[bool, typer.Option(help="Replace people of the same name.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Bring in motion of other programs; then export it to any rig."""
    from mocap.commands import import_motions as work

    made = work(session, files, take=take, rig=rig, unit=unit, up=up, force=force)
    lines = [
        f"{row['person']}: {row['frames']} frames, {row['rate_hz']:.6g} Hz, {len(row['joints'])} joints known"
        for row in made["people"]
    ]
    return _say(as_json, made, "\n".join(lines))


@app.command()
def rig(
    file: Annotated[Path, typer.Argument(help="A character: .fbx, .bvh or .glb.")],
    out: Annotated[Path | None, typer.Option(help="A .toml file to write, for corrections.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Show which joints of a character are taken for which of ours."""
    from mocap.commands import rig_of

    made = rig_of(file, out)
    return _say(as_json, made, as_text(made["joints"]) + (f"\nwrote {out}" if out else ""))


models = typer.Typer(help="Detector weights: list, pull, add.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("list")
def models_list(as_json: Json = False, verbose: Verbose = False) -> int:
    """Show the known networks: keypoints, accuracy, speed, licence, and how to get them."""
    from mocap.detect.catalogue import listing

    rows = [dict(row) for row in listing()]
    shown = ("name", "keypoints", "ap", "error_mm", "frames_per_s", "licence", "installed", "get")
    return _say(as_json, {"models": rows}, as_text([{key: row[key] for key in shown} for row in rows]))


@models.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="A name from mocap models list.")],
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Fetch weights into the user's cache folder."""
    from mocap.detect.models import pull

    paths = [str(path) for path in pull(name)]
    return _say(as_json, {"files": paths}, "\n".join(paths))


@models.command("add")
def models_add(
    name: Annotated[str, typer.Argument(help="A name from mocap models list.")],
    file: Annotated[Path, typer.Argument(help="The network: an ONNX or TFLite file.")],
    keypoints: Annotated[
        str, typer.Option(help="Names of its keypoints, separated by commas, where they are of no known set.")
    ] = "",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Use a network of your own; it is tried before it is taken."""
    from mocap.detect.own_models import add

    path = str(add(name, file, tuple(part.strip() for part in keypoints.split(",") if part.strip())))
    return _say(as_json, {"file": path}, path)


@app.command()
def evaluate(
    found: Annotated[Path, typer.Argument(help="COCO results (JSON), or a folder of images to detect in.")],
    truth: Annotated[Path, typer.Argument(help="COCO annotations of the same images.")],
    overrides: Overrides = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Judge a 2D detector by COCO-style truth: AP, AR, F1, OKS, PCK, time of a frame."""
    from mocap.evaluate import evaluate as work
    from mocap.settings import Settings, with_overrides

    result = vars(work(found, truth, settings=with_overrides(Settings(), overrides or ()).detect))
    shown = {
        name: value if isinstance(value, int) else round(value, 4)
        for name, value in result.items()
        if value is not None
    }
    return _say(as_json, result, as_text([shown]))


@app.command()
def doctor(as_json: Json = False, verbose: Verbose = False) -> int:
    """Say what works on this machine, and how to get the rest."""
    from mocap.doctor import examine

    rows = examine()
    _say(as_json, {"checks": rows}, as_text(rows))
    return 0 if all(row["works"] or row["optional"] for row in rows) else UNUSABLE


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where the footage and the results go.")
    ] = Path("demo"),
    cameras: Annotated[int, typer.Option(help="Number of cameras.")] = 4,
    seconds: Annotated[float, typer.Option(help="Length of the performance.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Render footage of an actor, run the whole chain on it, and compare with the truth."""
    from mocap.virtual.demo import demo as work

    result = work(folder, cameras=cameras, seconds=seconds, seed=seed, progress=ProgressLine())
    _say(as_json, result.report(), result.text())
    return 0 if result.passed else UNUSABLE


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(execute(sys.argv[1:] if arguments is None else arguments))


def execute(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; what goes wrong is one line on stderr."""
    verbose, as_json = "--verbose" in arguments, "--json" in arguments
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", force=True)
    try:
        code = int(app(list(arguments), prog_name="mocap", standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # the one place where every failure becomes a line
        if verbose:
            logging.getLogger(__name__).exception("the traceback:")
        if hasattr(error, "format_message"):  # a wrong option; typer brings its own copy of click's errors
            return _failed(error.format_message(), REFUSED, as_json)
        if _is_ours(error):
            return _failed(str(error), REFUSED, as_json)
        if isinstance(error, OSError):
            return _failed(f"{error.filename or 'file'}: {error.strerror or error}", REFUSED, as_json)
        fault = f"fault of this program: {type(error).__name__}: {error}; --verbose shows where"
        return _failed(fault, BROKEN, as_json)
    if code == INTERRUPTED:
        return _failed("stopped; run the same command again to go on", INTERRUPTED, as_json)
    return code


def _is_ours(error: Exception) -> bool:
    """Whether the error was written for the user.

    The other packages' errors are told by the names of their bases: importing them here would load torch.
    """
    bases = {f"{base.__module__}.{base.__name__}" for base in type(error).__mro__}
    ours = {"calibration.errors.CalibrationError", "rigs.errors.RigError", "exporters.errors.ExportError"}
    return isinstance(error, MocapError) or bool(bases & ours)


def _failed(message: str, code: int, as_json: bool) -> int:
    line = " ".join(message.split())
    typer.echo(f"mocap: {line}", err=True)
    if as_json:
        typer.echo(json.dumps({"ok": False, "exit_code": code, "error": line}))
    return code


def _outcome(as_json: bool, outcome: Any) -> int:
    """Say what the stages did."""
    code = 0 if outcome.usable else UNUSABLE
    lines = [f"{name}: {what}" for what in ("done", "skipped", "kept") for name in getattr(outcome, what)]
    lines += [f"wrote {path}" for path in outcome.files]
    reasons = [reason for entry in outcome.summary.values() for reason in entry.get("reasons", ())]
    lines += [f"not to be trusted: {reason}" for reason in reasons]
    warnings = [text for entry in outcome.summary.values() for text in entry.get("warnings", ())]
    lines += [f"note: {text}" for text in warnings]
    content = {name: getattr(outcome, name) for name in ("done", "skipped", "kept", "files", "summary")}
    _say(as_json, content, "\n".join(lines) or "nothing to do", code)
    return code


def _say(as_json: bool, content: Mapping[str, Any], text: str, code: int = 0) -> int:
    typer.echo(text)
    if as_json:
        from mocap.files import plain

        typer.echo(json.dumps(plain({"ok": code == 0, "exit_code": code, **content}), allow_nan=False))
    return code


if __name__ == "__main__":
    main()
