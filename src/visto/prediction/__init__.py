"""The verb ``predict``: one interface over whatever can recognise, a bundle today, an exported file tomorrow."""

from visto.prediction.course import Course, Courses, course_of, courses_at
from visto.prediction.exported import GraphRecogniser
from visto.prediction.following import check_followable, drawn, follow
from visto.prediction.one_step import OneStepGraph
from visto.prediction.picture import Picture, Source, encoded, frames_of, images_at
from visto.prediction.proposing import Proposing
from visto.prediction.recogniser import Recogniser, TorchRecogniser, recogniser_of
from visto.prediction.run import Failed, Predicted, predict
from visto.prediction.series import Foretold, foretell
from visto.prediction.streaming import Answered, Streamed, Unanswered, answer_courses, check_streams, stream

__all__ = [
    "Answered",
    "Course",
    "Courses",
    "Failed",
    "Foretold",
    "GraphRecogniser",
    "OneStepGraph",
    "Picture",
    "Predicted",
    "Proposing",
    "Recogniser",
    "Source",
    "Streamed",
    "TorchRecogniser",
    "Unanswered",
    "answer_courses",
    "check_followable",
    "check_streams",
    "course_of",
    "courses_at",
    "drawn",
    "encoded",
    "follow",
    "foretell",
    "frames_of",
    "images_at",
    "predict",
    "recogniser_of",
    "stream",
]
