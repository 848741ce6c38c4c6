"""How the cameras' clocks stand to each other.

recorded   what clips say of their own start: timecode, time of recording    (frames to seconds)
sound      what all microphones heard                                       (below a millisecond)
coarse     people in one place: which shift of two clips makes viewing rays meet     (a frame)
placing    one offset for each camera from all pairs
fine       offsets and drifts at which the views agree best                 (a millisecond)
motion     coarse, placing and fine on the people of a take
combine    all sources together, each by its standard deviation
find       the clocks of a take, or what is wrong with them
"""

from mocap.clocks.find import Footage, find_clocks

__all__ = ["Footage", "find_clocks"]
