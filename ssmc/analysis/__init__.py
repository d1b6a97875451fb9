"""Facts about a recurrence: access, affine form, class, numeric range, stability. Nothing here changes a program."""
