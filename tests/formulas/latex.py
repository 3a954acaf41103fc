"""From the LaTeX on the screen to a sympy expression: cut out the piece that is meant, rename its symbols, and let sympy's parser read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import sympy
from sympy.core.function import AppliedUndef
from sympy.parsing.latex import parse_latex

SPACES = {r"\,", r"\;", r"\:", r"\!", "\\ ", r"\displaystyle", r"\left", r"\right", r"\nolimits", r"\limits"}
SPACES |= {f"\\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")}
SAME = {r"\tfrac": r"\frac", r"\dfrac": r"\frac", "[": "(", "]": ")", r"\{": "(", r"\}": ")", r"\varPhi": r"\Phi", r"\lvert": "|", r"\rvert": "|"}
STATEMENT_ENDS = {r"\quad", r"\qquad", r"\\"}
RELATIONS = {"=", r"\le", r"\leq", r"\ge", r"\geq", r"\approx", r"\equiv", r"\propto", r"\to", r"\sim"}
OPENING, CLOSING = {"{", "("}, {"}", ")"}
NAME_LETTERS = "abcefghjklmnopqrstuvwxyz"  # no d: sympy's parser takes "dx" for a differential

FUNCTIONS = {
    r"\Phi": ("P", lambda x: (1 + sympy.erf(x / sympy.sqrt(2))) / 2),
    r"\operatorname{erf}": ("E", sympy.erf),
    r"\operatorname{erfc}": ("C", sympy.erfc),
    r"\mathrm{erf}": ("E", sympy.erf),
    r"\max": ("M", sympy.Max),
    r"\min": ("W", sympy.Min),
    r"\Gamma": ("G", sympy.gamma),
    r"\psi": ("Q", sympy.digamma),
}
"""Functions that sympy's parser does not know: the letter that stands for each while it reads, and the function."""


class FormulaError(ValueError):
    """LaTeX that does not hold the piece asked for, or that cannot be read."""


def tokens(latex: str) -> list[str]:
    """Split LaTeX into control words, control symbols and single characters; spacing and sizes of brackets are dropped."""
    return [SAME.get(token, token) for token in re.findall(r"\\[a-zA-Z]+|\\.|\S", latex) if token not in SPACES]


def joined(parts: Iterable[str]) -> str:
    text = ""
    for part in parts:
        text += " " + part if text[-1:].isalpha() and part[:1].isalpha() else part
    return text


def closing(parts: list[str], start: int) -> int:
    """Return the place of the bracket that closes the one at `start`."""
    depth = 0
    for place in range(start, len(parts)):
        depth += (parts[place] in OPENING) - (parts[place] in CLOSING)
        if depth == 0:
            return place
    raise FormulaError(f"a bracket is not closed in {joined(parts[start:])}")


def split(parts: list[str], at: set[str]) -> list[list[str]]:
    """Split at the given tokens where they stand outside all brackets."""
    pieces: list[list[str]] = [[]]
    depth = 0
    for part in parts:
        depth += (part in OPENING) - (part in CLOSING)
        if depth == 0 and part in at:
            pieces.append([])
        else:
            pieces[-1].append(part)
    return pieces


def moments(parts: list[str]) -> tuple[list[str], list[str]]:
    """Return mean and variance of the first Normal law, \\mathcal{N}(mean, variance I) or \\mathcal{N}(x; mean, variance)."""
    normal = tokens(r"\mathcal{N}(")
    for place in range(len(parts)):
        if parts[place : place + len(normal)] == normal:
            start = place + len(normal) - 1
            arguments = split(parts[start + 1 : closing(parts, start)], {",", ";"})
            mean, variance = arguments[-2:]
            return mean, variance[:-1] if variance[-1] == "I" else variance
    raise FormulaError(f"no \\mathcal{{N}}(mean, variance) in {joined(parts)}")


def without_braces(parts: list[str]) -> tuple[list[str], list[list[str]]]:
    """Take \\underbrace{content}_{label} off, leaving (content); return the rest and the contents in order."""
    contents, out, place = [], [], 0
    while place < len(parts):
        if parts[place] not in (r"\underbrace", r"\overbrace"):
            out.append(parts[place])
            place += 1
            continue
        end = closing(parts, place + 1)
        content, _ = without_braces(parts[place + 2 : end])
        contents.append(content)
        out += ["(", *content, ")"]
        place = end + 1
        if place < len(parts) and parts[place] in ("_", "^"):
            place = closing(parts, place + 1) + 1 if parts[place + 1] == "{" else place + 2
    return out, contents


def piece_of(latex: str, piece: str, statement: int = 0) -> list[str]:
    """Cut a piece out of a formula.

    Args:
        latex: as in the registry; statement: which of the statements that \\quad, \\qquad or \\\\ separate.
        piece: "side 1" is what stands after the first relation sign (=, \\le, ...), "side 2" after the second, "side -1" after the last;
            "mean" and "variance" belong to the first \\mathcal{N}(..., ...); "brace 0" is the content of the first \\underbrace.
    Raises:
        FormulaError: there is no such piece.
    """
    statements = [part for part in split(tokens(latex), STATEMENT_ENDS) if part]
    kind, _, number = piece.partition(" ")
    try:
        parts, contents = without_braces(statements[statement])
        while parts[-1] in (",", ".", ";"):
            parts.pop()
        if kind in ("mean", "variance"):
            return moments(parts)[kind == "variance"]
        pieces = {"side": split(parts, RELATIONS), "brace": contents}[kind]
        if kind == "side" and len(pieces) == 1:
            raise FormulaError(f"no = in {joined(parts)}")
        return pieces[int(number)]
    except (IndexError, KeyError, ValueError) as problem:
        raise problem if isinstance(problem, FormulaError) else FormulaError(f"no '{piece}' in statement {statement} of {latex}") from problem


def expression(parts: list[str], names: Mapping[str, sympy.Symbol]) -> sympy.Expr:
    """Read a piece as a sympy expression.

    Args:
        parts: tokens of the piece; names: LaTeX of each symbol that may occur -> the sympy symbol for it, called S and letters of NAME_LETTERS.
    Raises:
        FormulaError: a symbol that is not declared, or LaTeX that sympy's parser does not understand.
    """
    spelled = sorted(((tokens(latex), rf"\mathit{{{symbol.name}}}") for latex, symbol in names.items()), key=lambda item: -len(item[0]))
    functions = sorted(((tokens(latex), letter) for latex, (letter, _) in FUNCTIONS.items() if latex not in names), key=lambda item: -len(item[0]))
    renamed, place = [], 0
    while place < len(parts):
        for spelling, name in [*spelled, *functions]:
            if parts[place : place + len(spelling)] == spelling:
                place += len(spelling)
                renamed.append(name)
                if place < len(parts) and parts[place] == "_":
                    raise FormulaError(
                        f"declare the symbol {joined(parts[place - len(spelling) : place + 3])}...: only {joined(spelling)} is declared"
                    )
                break
        else:
            renamed.append(parts[place])
            place += 1
    text = joined(renamed)
    try:
        read = parse_latex(text, strict=True, backend="antlr")
    except Exception as problem:
        raise FormulaError(f"sympy cannot read {joined(parts)} (as {text}): {problem}") from problem
    for letter, function in FUNCTIONS.values():
        read = read.replace(sympy.Function(letter), function)
    read = read.subs({sympy.Symbol("pi"): sympy.pi, sympy.Symbol("e"): sympy.E})
    indices = {limits[0] for total in read.atoms(sympy.Sum, sympy.Product) for limits in total.limits}
    unknown = (read.free_symbols - set(names.values()) - indices) | read.atoms(AppliedUndef)
    if unknown:
        raise FormulaError(f"{', '.join(sorted(map(str, unknown)))} in {joined(parts)}: declare each symbol of the piece, under `symbols` or `given`")
    return read
