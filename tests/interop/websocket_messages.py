"""Messages of tests: of both types and of the sizes at which frames change their form, mostly small."""

SIZES = (0, 1, 125, 126, 127, 1000, 65535, 65536)


def messages(first, count):
    for number in range(first, first + count):
        size = SIZES[number // 50 % len(SIZES)] if number % 50 == 0 else number * 7 % 200
        if number % 2:
            yield (b"%d," % number * (size // 2 + 1))[:size]
        else:
            yield (f"{number} \u20ac " * (size // 4 + 1))[:size]
