"""The formats that any document can be written in."""
