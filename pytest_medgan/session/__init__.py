"""What a run found and what it leaves behind: findings, candidates, history and the run folder.

The plugin and `medgan evaluate` use this room alike. It never imports pytest.
"""
