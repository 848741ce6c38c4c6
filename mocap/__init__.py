"""Mocap Studio: footage from two or more ordinary cameras in, clean character animation out.

Every command is one call: ``pipeline.run``, ``pipeline.calibrate``, ``pipeline.run_stage``,
``Session.create``, ``commands.board``, ``commands.cameras``, ``detect.models.pull``, ``doctor.examine``,
``virtual.demo.demo``.
"""

__version__ = "0.1.0"
