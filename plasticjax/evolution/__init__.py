"""Cartesian genetic programming: search spaces, genomes, and the programs that they encode."""

from ._evaluate import evaluate as evaluate
from ._evaluate import evaluate_population as evaluate_population
from ._evolve import Evolved as Evolved
from ._evolve import evolve as evolve
from ._evolved import Program as Program
from ._evolved import ProgramRule as ProgramRule
from ._expression import from_expression as from_expression
from ._genome import Genomes as Genomes
from ._genome import from_dna as from_dna
from ._genome import parameters_of as parameters_of
from ._genome import random_genome as random_genome
from ._genome import to_dna as to_dna
from ._hall_of_fame import Famous as Famous
from ._hall_of_fame import hall_of_fame as hall_of_fame
from ._individuals import complexity as complexity
from ._individuals import random_individual as random_individual
from ._keys import canonical_key as canonical_key
from ._keys import functional_key as functional_key
from ._local_search import AbstractLocalSearch as AbstractLocalSearch
from ._local_search import GradientSearch as GradientSearch
from ._local_search import NaturalEvolutionSearch as NaturalEvolutionSearch
from ._local_search import clipped_descent as clipped_descent
from ._mu_plus_lambda import MuPlusLambda as MuPlusLambda
from ._objective import Objective as Objective
from ._primitives import ADD as ADD
from ._primitives import DIV as DIV
from ._primitives import IF_ELSE as IF_ELSE
from ._primitives import MUL as MUL
from ._primitives import POW as POW
from ._primitives import SUB as SUB
from ._primitives import Primitive as Primitive
from ._primitives import constant as constant
from ._primitives import parameter as parameter
from ._program import CompactProgram as CompactProgram
from ._program import active_nodes as active_nodes
from ._program import compact as compact
from ._program import program_length as program_length
from ._reorder import reorder as reorder
from ._search import Search as Search
from ._search import tasks_key as tasks_key
from ._spec import GenomeSpec as GenomeSpec
from ._state import Asked as Asked
from ._state import Record as Record
from ._state import SearchState as SearchState
from ._symbolic import from_json as from_json
from ._symbolic import input_names as input_names
from ._symbolic import to_json as to_json
from ._symbolic import to_latex as to_latex
from ._symbolic import to_source as to_source
from ._symbolic import to_sympy as to_sympy
from ._variation import Silent as Silent
from ._variation import mutate as mutate

__all__ = [
    "GenomeSpec",
    "Primitive",
    "ADD",
    "SUB",
    "MUL",
    "DIV",
    "POW",
    "IF_ELSE",
    "constant",
    "parameter",
    "Genomes",
    "random_genome",
    "to_dna",
    "from_dna",
    "parameters_of",
    "mutate",
    "Silent",
    "reorder",
    "active_nodes",
    "compact",
    "CompactProgram",
    "program_length",
    "canonical_key",
    "functional_key",
    "evaluate",
    "evaluate_population",
    "Program",
    "ProgramRule",
    "Objective",
    "MuPlusLambda",
    "Search",
    "tasks_key",
    "SearchState",
    "Asked",
    "Record",
    "evolve",
    "Evolved",
    "hall_of_fame",
    "Famous",
    "AbstractLocalSearch",
    "GradientSearch",
    "NaturalEvolutionSearch",
    "clipped_descent",
    "random_individual",
    "complexity",
    "to_sympy",
    "to_latex",
    "to_source",
    "to_json",
    "from_json",
    "from_expression",
    "input_names",
]
