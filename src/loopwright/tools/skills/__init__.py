"""Skills: folders with instructions that somebody wrote. Pinned by every file, scanned, and given no right but by the user's own word."""
