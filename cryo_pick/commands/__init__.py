"""The commands of `cryo-pick`, one module each."""
