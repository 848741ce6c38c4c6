"""Time: free-running cameras, their clocks and shutters, and a board that moves between the frames."""
