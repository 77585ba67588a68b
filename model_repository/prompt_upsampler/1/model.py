from orrery.backend.adapter import stage_model

TritonPythonModel = stage_model("prompt_upsampler")
