"""Invents requests for stories: a subject, often with a trait, a plight, a place, a name or a second subject."""

import collections
import dataclasses
import random

from words import indefinite, plural

_ANIMALS = (
    "cat dog bird rabbit bunny bear fox lion frog mouse duck monkey fish elephant pig horse sheep turtle squirrel owl"
    " puppy kitten butterfly bee cow ant spider wolf goat snake crab chicken tiger giraffe penguin worm whale dolphin bug"
    " pony donkey zebra hippo kangaroo koala panda crocodile octopus shark seal snail hedgehog hamster parrot swan deer bat"
    " raccoon beaver otter lizard ladybug dragonfly caterpillar peacock eagle rooster hen goose lamb calf camel rhino gorilla"
    " starfish jellyfish toad mole cricket beetle firefly crow pigeon turkey llama moose walrus leopard lobster seahorse"
    " woodpecker skunk buffalo"
).split()
_PEOPLE = (
    "dragon robot pirate wizard unicorn dinosaur witch mermaid knight fairy monster alien giant ghost princess prince king"
    " queen clown astronaut superhero elf troll dwarf ninja cowboy farmer baker doctor teacher sailor fisherman chef nurse"
    " fireman policeman painter singer dancer detective explorer magician gardener scarecrow snowman angel goblin phoenix"
    " baby vampire mummy cyclops ogre genie gnome boy girl grandma grandpa mother father brother sister"
).split()
_THINGS = (
    "ball toy kite boat car cake hat doll book box flower truck bike balloon apple stick rock key cookie dress bag drum"
    " train blanket crayon bell shell basket umbrella scarf plane cup spoon jar rope bottle candle ring coin hammer"
    " pumpkin lemon banana carrot sandwich pizza shirt coat chair leaf stone feather button puzzle camera crown sword"
    " rocket guitar map computer treasure star lamp clock telescope spaceship tractor bus helicopter submarine motorcycle"
    " skateboard scooter sled bicycle wagon violin piano flute trumpet whistle magnet mirror lantern flashlight teapot teddy"
    " snowball sandcastle mitten sock shoe boot backpack necklace diamond pearl gem mushroom strawberry cherry pear orange"
    " watermelon cupcake pancake donut muffin cheese egg pie lollipop ticket letter notebook pencil paintbrush painting"
    " statue trophy medal flag tent ladder broom bucket shovel wand cape mask costume tree cloud snowflake seed acorn"
    " pinecone nest trampoline swing slide telephone television radio carousel yo-yo marble"
).split()
_PLACES = (
    "moon sun sea rain snow wind forest garden farm castle rainbow volcano tunnel bridge lighthouse windmill fountain igloo"
    " river mountain beach island park school zoo circus museum library party birthday picnic storm night winter summer"
    " jungle desert cave market kitchen playground parade lake"
).split()
_NAMES = (
    "Lily Tom Max Ben Anna Sara Mia Leo Finn Emma Noah Ella Oscar Ruby Milo Nina Felix Luna Hugo Ivy Otto Clara Theo"
    " Maya Kai Rosa Jasper Alice Henry Poppy Arthur Nora Toby Sophie Lucas Freya Oliver Hannah Simon Bella Rex Coco Pip"
    " Ziggy Daisy Rusty Pepper Sunny Bruno Nemo Dotty Fluffy Rocky Ginger Zara Omar Priya Chen Diego Yuki Amir Greta Pablo"
).split()
_TRAITS = (
    "little big brave shy happy sad tiny kind lonely clever silly old young friendly grumpy sleepy lost magic curious hungry"
    " gentle proud funny lazy noisy quiet greedy"
).split()
_LOOKS = "red blue green yellow golden shiny old new big little tiny magic broken soft strange special pretty".split()
# None of these occurs in e2e/eval/requests.ts, so that the evaluation's requests are new to the model.
_PLIGHTS = [
    "who is afraid of water", "who is afraid of thunder", "who cannot swim", "who cannot sing", "who wants to go home",
    "who wants to see the sea", "who loves to dance", "who loves to read", "who learns to share", "who learns to cook",
    "who lost a tooth", "who is always late", "who never says thank you", "who tells a lie", "who helps a friend",
    "who builds a house", "who gets lost", "who makes a mistake", "who likes to sing", "who eats too much",
    "who is too small to play", "who does not want to sleep", "who goes on a trip", "who wins a race",
]  # fmt: skip
_SCENES = [
    "in the forest", "at the beach", "in the snow", "on a farm", "in the rain", "at school", "in space", "in the city",
    "under the sea", "on an island", "at the park", "in a castle", "in the garden",
]  # fmt: skip
# Requested more often: what users think of first.
_FAVOURITES = (
    "dragon robot cat dog princess pirate wizard unicorn dinosaur witch mermaid knight monster alien astronaut bear rabbit moon"
).split()


@dataclasses.dataclass(frozen=True)
class Wish:
    """A phrase such as "a brave fox and a drum", and the nouns that its story must name. The first is the subject."""

    phrase: str
    subjects: tuple[str, ...]


class Wishes:
    """Draws wishes. `nouns` are those of the corpus, with the number of stories that contain each."""

    def __init__(self, nouns: collections.Counter):
        self.nouns = list(nouns)
        self.weights = [count**0.5 for count in nouns.values()]

    def draw(self, rng: random.Random) -> Wish:
        chance = rng.random()
        if chance < 0.25:
            noun = rng.choices(self.nouns, self.weights)[0]
            return Wish(indefinite(noun), (noun,))
        if chance < 0.40:
            place = rng.choice(_PLACES)
            return Wish(f"the {place}" if rng.random() < 0.6 else indefinite(place), (place,))
        if chance < 0.58:
            thing = rng.choice(_THINGS)
            phrase = f"{rng.choice(_LOOKS)} {thing}" if rng.random() < 0.4 else thing
            return Wish(indefinite(phrase), (thing,))
        return self._about_a_character(rng)

    def _about_a_character(self, rng: random.Random) -> Wish:
        noun = rng.choice(_FAVOURITES if rng.random() < 0.3 else rng.choice([_ANIMALS, _PEOPLE]))
        phrase = indefinite(f"{rng.choice(_TRAITS)} {noun}" if rng.random() < 0.35 else noun)
        chance = rng.random()
        if chance < 0.12:
            name = rng.choice(_NAMES)
            return Wish(f"{phrase} {rng.choice(['named', 'called'])} {name}", (noun, name))
        if chance < 0.30:
            return Wish(f"{phrase} {rng.choice(_PLIGHTS)}", (noun,))
        if chance < 0.38:
            return Wish(f"{phrase} {rng.choice(_SCENES)}", (noun,))
        if chance < 0.62:
            other = rng.choice(rng.choice([_ANIMALS, _PEOPLE, _THINGS]))
            link = rng.choice(["and", "and", "and", "who finds", "who meets", "with"])
            if other != noun:
                return Wish(f"{phrase} {link} {indefinite(other)}", (noun, other))
        return Wish(phrase, (noun,))


def vary(wish: Wish, rng: random.Random) -> str:
    """Returns the phrase of a wish as a user may write it: "a fox", "the fox", "foxes" or "fox"."""
    simple = wish.phrase == indefinite(wish.subjects[0])
    if not simple or rng.random() < 0.75:
        return wish.phrase
    noun = wish.subjects[0]
    return rng.choice([f"the {noun}", plural(noun), noun, noun.capitalize()])
