"""How the shipped body is made from Anny: needs the extra ``bake``, runs once for each release of it."""
