"""The ground every package stands on: errors, parameters, registry, records, progress, seeds."""
