"""The voices that are Mistral's own, by the names that its page on voices lists.

Every other voice was made by somebody from a recording and stands behind every workspace of the
same key. A voice that Mistral adds is refused until it is named here. Source: docs.mistral.ai,
text to speech, voices.
"""

_SPEAKERS = {
    "en_paul": "neutral happy cheerful excited confident sad frustrated angry",
    "gb_jane": "neutral confident curious confused sarcasm sad shameful jealousy frustrated",
    "gb_oliver": "neutral cheerful excited confident curious sad angry",
    "fr_marie": "neutral happy excited curious sad angry",
}
_NUMBERS = (
    *(447, *range(478, 486), *range(589, 593), 1786, 1787, 1788),
    *(*range(3132, 3142 + 1), 3143, 3144, 3145, 3146, 3147, 3149, 3150, 3153, 3154, 3155),
)
PRESETS = frozenset(
    {
        *(f"{name}_{mood}" for name, moods in _SPEAKERS.items() for mood in moods.split()),
        *(f"voice_{number}" for number in _NUMBERS),
    }
)
