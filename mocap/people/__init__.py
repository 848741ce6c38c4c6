"""Who is who: people in several views, over a whole take.

sights     everybody whom the cameras saw, as viewing rays at common instants
votes      how well people of two views agree, summed over tracklets; tracklets that contradict are cut
clusters   tracklets of all views joined, the surest first
tracks     where people are in the world, and clusters joined over time
claims     each detection given to the person who should be there
judge      who is no person, and why
"""
