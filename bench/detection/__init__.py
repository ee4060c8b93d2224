"""How well the catalogue judges labelled logs, beside a plain grep."""
