"""Pure answers to what people ask of mount tables, one file each; no I/O."""
