"""Writes train.csv and held-out.csv: tickets to the support of an invented shop, and the queue that each belongs to.

Each chat shows two solved tickets of every queue, and then the ticket that is to be sorted.

python make_data.py [FOLDER]
"""

from __future__ import annotations

import csv
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

COMPLAINTS: Mapping[str, Sequence[str]] = {
    "billing": (
        "My card was charged twice for the {thing}.",
        "The invoice for the {thing} shows the wrong amount.",
        "You took {euros} euros more than the price on your page.",
        "Please send me a receipt for the {thing}, I need it for my taxes.",
        "I still see the payment for an order that I had cancelled.",
        "Your bill has no tax number on it.",
        "The discount code was not taken off the total.",
        "Why do I pay {euros} euros every month?",
        "My bank says that the debit from you failed.",
        "I would like to pay for the {thing} in three instalments.",
        "There is a fee of {euros} euros on my statement that I do not know.",
        "Can the invoice be made out to my company?",
        "I paid by transfer last week and got a reminder all the same.",
        "The total on my credit card is {euros} euros too high.",
        "Which price is right, the one on the invoice or the one in the basket?",
        "I was billed for two of them and ordered one.",
        "My payment with the gift card was refused.",
        "You charged me in dollars and not in euros.",
        "The instalment of this month was taken twice.",
        "I need a copy of last year's invoices.",
    ),
    "delivery": (
        "The {thing} has not arrived yet.",
        "Where is my parcel? I ordered it {days} days ago.",
        "The courier left the box with a neighbour I do not know.",
        "The tracking page has shown nothing new for {days} days.",
        "Can you bring the {thing} in the evening?",
        "The driver says that nobody was at home, but I was.",
        "My parcel was sent to my old address.",
        "How long does shipping to the islands take?",
        "Only one of the two boxes came.",
        "Please leave the {thing} at the pick-up point.",
        "The shipment is stuck at customs.",
        "When will the {thing} be here?",
        "The postman put my package into the rain.",
        "It should have been here on Monday and still is not.",
        "The tracking number that you sent does not exist.",
        "I will be away next week, can the courier come later?",
        "My neighbour's {thing} came with your van, and mine did not.",
        "The parcel has been in the depot for {days} days.",
        "Can I have the {thing} sent to my office?",
        "Your carrier cannot find my street.",
    ),
    "returns": (
        "I want to send the {thing} back.",
        "The {thing} is too big, can I exchange it for a smaller one?",
        "How do I print a return label?",
        "I sent the {thing} back {days} days ago and have no refund yet.",
        "I do not like the colour and would like to return it.",
        "Can I give the {thing} back in your shop?",
        "I changed my mind about the {thing}, please take it back.",
        "How many days do I have to send something back?",
        "Do I have to pay for the return?",
        "You sent a {thing} that I did not order, how do I give it back?",
        "I would like to swap the {thing} for the red one.",
        "I have lost the return slip.",
        "The box is open already, may I still send it back?",
        "When is the money for the {thing} that I returned paid back?",
        "It was a present and I have two of them now, can I bring one back?",
        "The return portal does not take my order.",
        "It does not fit, I need another size.",
        "Please cancel my {thing} and collect it again.",
        "I have repacked the {thing}, where do I send it?",
        "May I exchange it without the box?",
    ),
    "account": (
        "I cannot log in any more.",
        "I have forgotten my password.",
        "Please change the e-mail address of my profile.",
        "The link to set a new password has expired.",
        "My user name is spelt wrong.",
        "I want to change my phone number in my profile.",
        "Your page says that my account is locked.",
        "I have two accounts, can you merge them?",
        "I never got the mail that confirms my registration.",
        "The code for signing in does not come.",
        "How can I sign up as a company?",
        "Somebody else seems to use my login.",
        "The page does not take my password after the change.",
        "I moved, where can I change the address in my profile?",
        "How do I switch on login in two steps?",
        "My sign-in says that the user is unknown.",
        "I cannot register with my e-mail.",
        "I was logged out and cannot get into my account.",
        "Please reset my password.",
        "My wife and I want to share one login.",
    ),
    "technical": (
        "The {thing} does not switch on.",
        "How do I connect the {thing} to my phone?",
        "The app crashes when I open it.",
        "The {thing} shows error {code}.",
        "Since the update the {thing} is very slow.",
        "How do I set the clock of the {thing}?",
        "The {thing} does not find my wireless network.",
        "I cannot find the manual for the {thing}.",
        "The {thing} makes a loud noise when it starts.",
        "The display of the {thing} stays black.",
        "Which setting of the {thing} is for wool?",
        "The {thing} loses its connection every few minutes.",
        "How can I reset the {thing} to the factory settings?",
        "The light of the {thing} blinks red and nothing works.",
        "The app does not see the {thing}.",
        "The battery of the {thing} does not charge.",
        "What does code {code} on the screen mean?",
        "The software of the {thing} cannot be installed.",
        "The {thing} stops after a minute.",
        "How do I pair the remote control?",
    ),
    "warranty": (
        "The {thing} broke after {days} months, is that still under guarantee?",
        "Is the {thing} covered if it falls down?",
        "How long is the guarantee on the {thing}?",
        "I want to claim the warranty for my {thing}.",
        "Does the guarantee cover the battery?",
        "Your workshop says that the warranty has ended, but it has not.",
        "Can I buy two more years of cover for the {thing}?",
        "I have lost the guarantee card.",
        "Who pays for the repair within the first two years?",
        "Is the guarantee valid abroad?",
        "I bought the {thing} used, does the warranty pass on to me?",
        "The handle broke off, is it repaired for free under the guarantee?",
        "My claim under the warranty was refused.",
        "What does the extended warranty cost?",
        "The repaired {thing} broke again, does the guarantee start anew?",
        "Do I need the invoice for a claim under the guarantee?",
        "The guarantee ends next week and the {thing} has a crack.",
        "Is rust covered by the warranty?",
        "How do I register the {thing} for the guarantee?",
        "Does the warranty end if I open the case?",
    ),
    "sales": (
        "Which {thing} do you recommend for a small flat?",
        "Do you have the {thing} in stock?",
        "What is the difference between the two models of the {thing}?",
        "Is there a discount if I buy {days} of them?",
        "When will the new {thing} be on sale?",
        "Can you make us an offer for {days} pieces?",
        "Does the {thing} come in green?",
        "I am looking for a {thing} as a present.",
        "Will there be an offer for the {thing} at the weekend?",
        "Do you sell spare bags for the {thing}?",
        "How much is the {thing} with all extras?",
        "Is the {thing} good for a house with pets?",
        "I would like to buy the {thing}, which size do I need?",
        "Do schools get a better price?",
        "Before I buy it: how loud is the {thing}?",
        "Will the old {thing} come back into your range?",
        "Can I see the {thing} in one of your shops before buying?",
        "We want to order {days} of them, what would be your price?",
        "Do you also sell the {thing} in white?",
        "What can the bigger {thing} do that the small one cannot?",
    ),
    "privacy": (
        "Which data about me do you store?",
        "Please delete all my personal data.",
        "I do not agree that you pass my data on.",
        "Who has seen my personal details?",
        "Stop using my data for advertising.",
        "Was my data part of the leak in the news?",
        "I want a copy of everything that you know about me.",
        "Why do you need my date of birth?",
        "How do I take back my consent to cookies?",
        "Do you sell my details to other companies?",
        "Please tell me how long my data is kept.",
        "Your camera in the shop filmed my child, please erase that.",
        "Under data protection law I ask for a list of my data.",
        "Who is your data protection officer?",
        "Do not track what I look at on your page.",
        "I object to a profile being made of me.",
        "Does the app send my location to anyone?",
        "You gave my number to another firm without asking me.",
        "Please erase my records, I ask for it by law.",
        "Where are my personal data kept, and who can read them?",
    ),
}
"""Wordings of each queue's tickets: those at even places are trained on, those at odd places held out."""
SOLVED = (
    ("How do I exchange the fan?", "returns"),
    ("My parcel is late. Thank you.", "delivery"),
    ("Does the warranty cover the motor?", "warranty"),
    ("The sum on the invoice is wrong.", "billing"),
    ("I forgot the password for my profile.", "account"),
    ("Dear team, which fan is the best one?", "sales"),
    ("Please remove my data. Kind regards", "privacy"),
    ("The fan does not start. Please answer soon.", "technical"),
    ("Do you have the fan in stock?", "sales"),
    ("My login does not work.", "account"),
    ("You debited the wrong sum.", "billing"),
    ("Hello. I want to give the fan back.", "returns"),
    ("The courier has not come.", "delivery"),
    ("Which personal data do you keep?", "privacy"),
    ("The app shows an error.", "technical"),
    ("Is the fan under guarantee?", "warranty"),
)
"""What the model is shown before each ticket; none of these wordings is in the data."""
THINGS = "washing machine,coffee machine,vacuum cleaner,toaster,heater,lamp,radio,blender,camera,printer".split(",")
OPENINGS = ("", "Hello. ", "Good morning. ", "Dear team, ", "Hi! ", "I have a question. ")
CLOSINGS = ("", " Thank you.", " Please answer soon.", " Kind regards", " I am waiting for your answer.")


def tickets(seed: int, size: int, side: int) -> Iterator[tuple[str, str, str]]:
    """`size` different tickets, their queues and the names of their wordings: those at even (0) or odd (1) places."""
    draw = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < size:
        queue = list(COMPLAINTS)[len(seen) % len(COMPLAINTS)]
        place = draw.randrange(side, len(COMPLAINTS[queue]), 2)
        values = {"thing": draw.choice(THINGS), "days": draw.randint(3, 20), "euros": draw.randint(5, 90)}
        complaint = COMPLAINTS[queue][place].format(**values, code=f"E{draw.randint(10, 99)}")
        ticket = draw.choice(OPENINGS) + complaint + draw.choice(CLOSINGS)
        if ticket not in seen:
            seen.add(ticket)
            yield ticket, queue, f"{queue} {place}"


def chat(ticket: str) -> list[dict[str, str]]:
    turns = [{"role": "system", "content": f"Sort each ticket into a queue: {', '.join(COMPLAINTS)}."}]
    for question, queue in SOLVED:
        turns += [{"role": "user", "content": question}, {"role": "assistant", "content": queue}]
    return [*turns, {"role": "user", "content": ticket}]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, seed, size, side in (("train", 1, 1200, 0), ("held-out", 2, 160, 1)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(("messages", "ticket", "queue", "wording"))
            table.writerows((json.dumps(chat(ticket)), ticket, *rest) for ticket, *rest in tickets(seed, size, side))


if __name__ == "__main__":
    main()
