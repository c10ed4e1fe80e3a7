"""What the trainer does for moving lines alone; `trainer.kinds` finds it."""
