from orrery.backend.adapter import stage_model

TritonPythonModel = stage_model("text2world_request")
