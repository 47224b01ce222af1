"""A comparison as one page of HTML that asks for nothing from outside itself."""
