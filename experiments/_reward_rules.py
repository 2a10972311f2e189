"""Rules of the reward task that Jordan et al. (2021) published, with their fitness.

`R` is the reward, `E` the eligibility, `B = P + M` the expected reward with its positive and its
negative part. Fitness is the sum of rewards over 500 trials, mean of 10 experiments; the maximum is
500.
"""

PAPER = {
    "LR0": ("(R - 1) * E", 216.2),
    "LR1": ("(1 + R * B) * (R - 1) * E", 234.2),
    "LR2": ("(R - (P - M)) * E", 242.0),
    "LR3": ("(R - (P - M)) * E / (1 + P)", 256.0),
    "LR4": ("(R - 1) * E + (R - 1) * (R + 2 * P)", 247.2),
    "LR5": ("2 * (R - (P - R * M)) * E - (R - (P - R * M)) * R * M", 254.8),
}

# Inputs R, E, B.
_SET_0 = (
    ("E / R - E", 216.2),
    ("(R + E * E) / B", 73.0),
    ("E * (R - 1)", 216.2),
    ("E / (2 * R + (R + 1) * (R + B) + 1)", 221.6),
    ("-E * (R - 1) * (R + B)", 234.2),
    ("E * (R - 1)", 216.2),
    ("4 * E * E / B + 2 * E", 69.2),
    ("E * (R - 1) * (R + B) / R", 234.2),
)
# Inputs R, E, P, M, in sets 1 to 3.
_SET_1 = (
    ("(E + M - E * (R + M * (R + M))) / (R + M * (R + M))", 238.6),
    ("E * (R - 1) / (R * (R - P))", 233.4),
    ("-E * (M + 1 - R)", 217.2),
    ("R * M - E + E / R", 227.6),
    ("(R - 1) * (R + E + 2 * P)", 247.2),
    ("(E - P - M) / (R + P)", 198.2),
    ("E * (R - 1)", 216.2),
    ("-E - M + (R - M) * (E + M)", 225.8),
)
_SET_2 = (
    ("E / (R + P - M)", 127.2),
    ("E / (R + P)", 192.0),
    ("E * (R - 1)", 216.2),
    ("(2 * E * M * (R - M) + E - 1) / (R - M)", 170.6),
    ("(E + M - R * E * (M + 1)) / (R * (M + 1))", 237.6),
    ("E * (1 - R) / (R - P)", 233.4),
    ("(R + M) * (E - P)", 120.8),
    ("(2 * E - R * M) * (R * M + R - P)", 254.8),
)
# How the last one is typeset is ambiguous.
_SET_3 = (
    ("E * (1 - R * R * R * (M + 1)) / R", 236.0),
    ("E * (R - P + M)", 242.0),
    ("E * (R - P + M)", 242.0),
    ("R * (E + M) - E", 227.6),
    ("E * (R - P + M) / (P + 1)", 256.0),
    ("(P * (M - R + E + M * (R + M)) - M) / P", 71.0),
    ("E * (R - 1)", 216.2),
    ("(E - M * M) * (R + M * M - 1)", 227.8),
)
SETS = {
    f"set {number}, run {run}": rule
    for number, rules in enumerate((_SET_0, _SET_1, _SET_2, _SET_3))
    for run, rule in enumerate(rules)
}

# On the 10 experiments of the repository, where (R - 1) E reaches 210.2.
OTHERS = {
    "R E": ("R * E", 43.4),
    "E/R - 1": ("E / R - 1", 69.4),
    "R (E - R)": ("R * (E - R)", 69.4),
    "R - 1 + E/R": ("R - 1 + E / R", 78.8),
    "R E - R - E": ("R * E - R - E", 113.2),
    "R + E/R - E": ("R + E / R - E", 133.0),
    "R": ("R", -7.0),
}

RULES = PAPER | SETS | OTHERS
NOTHING = "R - R"
