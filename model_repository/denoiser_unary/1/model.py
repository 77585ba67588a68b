from orrery.backend.adapter import stage_model

TritonPythonModel = stage_model("denoiser_unary")
