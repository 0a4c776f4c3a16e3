"""Teach: L = L_task + α·L_KD + β·L_feat + γ·L_att, from two tickets to a student."""
