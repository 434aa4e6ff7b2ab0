"""Answer images with an exported recogniser, without Visto: python run.py X.onnx IMAGE [IMAGE ...]

Needs onnxruntime, numpy and Pillow. Prints one JSON line an image: the answers, best first.
"""
import hashlib, json, sys
from pathlib import Path
import numpy as np, onnxruntime
from PIL import Image, ImageOps
path = Path(sys.argv[1])
about = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
if hashlib.sha256(path.read_bytes()).hexdigest() != about["files"][path.name]["sha256"]:
    sys.exit(f"{path} was changed: it is not what {path}.json speaks of")
session, names = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]), about["classes"]
each = about["thresholds"].get("thresholds") or [about["thresholds"].get("threshold", 0)] * len(names)
for file in sys.argv[2:]:
    try:
        image = ImageOps.exif_transpose(Image.open(file))
        if image.mode.startswith("I"):  # 16 bits: scaled, not clipped
            image = Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))  # on white
        found = session.run(about["outputs"], {"images": np.asarray(image.convert("RGB"))[None]})
        found = {name: value[0] for name, value in zip(about["outputs"], found)}
        rows = [{"label": names[k], "score": float(s), **({"box": np.round(b, 2).tolist()} if len(b) else {})}
                for k, s, b in zip(found.get("labels", range(len(names))), found["scores"], found.get("boxes", [()] * 999))
                if s > 0 and s >= each[k] and (not len(b) or (b[2] > b[0] and b[3] > b[1]))]
        print(json.dumps({"id": file, "answers": sorted(rows, key=lambda row: -row["score"])}))
    except Exception as error:
        print(json.dumps({"id": file, "error": str(error)}))
