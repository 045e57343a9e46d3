#error "not for this target"
