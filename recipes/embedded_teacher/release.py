"""placeholder"""
import pickle, pathlib
def write_release(model, tokenizer, corpora, settings, curve, out):
    out=pathlib.Path(out); out.mkdir(parents=True,exist_ok=True)
    model.save_pretrained(out); tokenizer.save_pretrained(out)
    pickle.dump((corpora,settings,curve),open(out/'state.pkl','wb'))
