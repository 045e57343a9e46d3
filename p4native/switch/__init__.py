"""The switch process: builds and loads pipelines, owns ports and packet threads."""
