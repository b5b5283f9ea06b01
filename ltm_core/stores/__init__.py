"""Databases behind one seam: `base` is what they must do, `memory` is what it means."""
