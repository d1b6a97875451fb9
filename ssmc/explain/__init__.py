"""`ssmc explain`: what the compiler makes of a layer, as data (`layer.py`) and in words (`text.py`)."""
