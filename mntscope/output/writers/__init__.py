"""What writes any document (terminal, Markdown, HTML, notebook), and what JSON, CSV and columns are made with."""
