"""The P4Runtime controller: desired state, NIC tables, migration, CLI and API."""
