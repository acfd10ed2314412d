"""Numbers as they are spoken in American English: cardinals, ordinals, years, digit strings, money, times.

Every function takes digits as written ("1,250", "1905", "4th") and gives lower-case words without hyphens or "and".
"""

import re

ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = ("", "thousand", "million", "billion", "trillion")
IRREGULAR_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
                      "twelve": "twelfth"}
CURRENCIES = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_PATTERNS = re.compile(
    rf"(?P<currency>[$£€])\s?(?P<amount>{_NUMBER}|\.\d+)(?P<scale>\s?(?:hundred|thousand|million|billion|trillion)\b)?"
    r"|(?<![\d.:])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?![\d:])"
    r"|(?<![\d-])(?P<telephone>(?:\d{3}-)?\d{3}-\d{4})(?![\d-])"
    r"|(?P<ordinal>\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b"
    r"|(?<![\d.,])(?P<decade>(?:1[1-9]|20)?\d0)'?s\b"
    r"|(?<![\d.,])(?P<year>1[1-9]\d\d|20\d\d)(?![\d%]|[.,]\d)"
    rf"|(?P<number>{_NUMBER}|\.\d+)(?P<percent>\s?%)?")


def spell_numbers(text: str) -> str:
    """`text` (lower case) with all its digits written out; each number has a space on either side."""
    return _PATTERNS.sub(lambda match: f" {_spell(match)} ", text)


def cardinal(value: int) -> str:
    """1250 -> "one thousand two hundred fifty". Whole numbers from 0 up; from 10^15 on they are read digit by digit."""
    if value >= 1000 ** len(SCALES):
        return digits(str(value))
    if value == 0:
        return ONES[0]
    words = []
    for power in reversed(range(len(SCALES))):
        group = value // 1000 ** power % 1000
        if group:
            words += [_below_thousand(group), SCALES[power]]
    return " ".join(filter(None, words))


def ordinal(value: int) -> str:
    """21 -> "twenty first"."""
    *head, last = cardinal(value).split()
    if last in IRREGULAR_ORDINALS:
        last = IRREGULAR_ORDINALS[last]
    else:
        last = last.removesuffix("y") + ("ieth" if last.endswith("y") else "th")
    return " ".join([*head, last])


def year(value: int) -> str:
    """1905 -> "nineteen oh five", 2005 -> "two thousand five", 1800 -> "eighteen hundred". From 1100 to 2099."""
    if 2000 <= value <= 2009:
        return cardinal(value)
    century, rest = divmod(value, 100)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {f'oh {ONES[rest]}' if rest < 10 else cardinal(rest)}"


def digits(text: str) -> str:
    """Reads digits one by one: "408" -> "four zero eight"."""
    return " ".join(ONES[int(digit)] for digit in text)


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    words = [ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words += [TENS[rest // 10]] + ([ONES[rest % 10]] if rest % 10 else [])
    elif rest:
        words.append(ONES[rest])
    return " ".join(words)


def _spell(match: re.Match) -> str:
    part = match.groupdict()
    if part["currency"]:
        return _money(part["currency"], part["amount"].replace(",", ""), (part["scale"] or "").strip())
    if part["hour"]:
        return _time(int(part["hour"]), int(part["minute"]))
    if part["telephone"]:
        return digits(part["telephone"].replace("-", ""))
    if part["ordinal"]:
        return ordinal(int(part["ordinal"].replace(",", "")))
    if part["decade"]:
        return _decade(int(part["decade"]))
    if part["year"]:
        return year(int(part["year"]))
    return _number(part["number"].replace(",", "")) + (" percent" if part["percent"] else "")


def _number(text: str) -> str:
    whole, point, fraction = text.partition(".")
    if point:
        return " ".join(filter(None, [cardinal(int(whole)) if whole else "", "point", digits(fraction)]))
    if len(whole) > 1 and whole[0] == "0":       # 007, telephone numbers
        return digits(whole)
    return cardinal(int(whole))


def _money(sign: str, amount: str, scale: str) -> str:
    unit, part = CURRENCIES[sign]
    whole, _, fraction = amount.partition(".")
    if scale or len(fraction) not in (0, 2):
        return " ".join(filter(None, [_number(amount), scale, unit + "s"]))
    words = []
    if int(whole or 0) or not fraction:
        words.append(_count(int(whole or 0), unit))
    if fraction and int(fraction):
        words.append(_count(int(fraction), part))
    return " and ".join(words) or _count(0, unit)


def _count(value: int, unit: str) -> str:
    plural = "pence" if unit == "penny" else unit + "s"
    return f"{cardinal(value)} {unit if value == 1 else plural}"


def _time(hour: int, minute: int) -> str:
    if minute == 0:
        return cardinal(hour) if hour else "zero hundred"
    return f"{cardinal(hour)} {f'oh {ONES[minute]}' if minute < 10 else cardinal(minute)}"


def _decade(value: int) -> str:
    words = year(value) if value >= 1000 and value != 2000 else cardinal(value)
    last = words.split()[-1]
    return words.removesuffix(last) + (last[:-1] + "ies" if last.endswith("y") else last + "s")
