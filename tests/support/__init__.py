"""What tests share: scenes of the real kernel, machines of tables, recordings and where they are kept."""
