"""What the trainer does for moving lines alone; `trainer.dataset_kinds` finds it."""
