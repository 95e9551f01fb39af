"""Changes of which it is known what they are: defects that must be objected to, harmless edits that must not."""
