"""The page's sentences."""

from __future__ import annotations

from alexnet.language import Table

WORDS: Table = {
    "title": ("What {model} has learned", "{model} 學到了什麼"),
    "model": ("Model", "模型"),
    "data": ("Data", "資料"),
    "split": ("{n} images, {split} split", "{split} 資料集的 {n} 張影像"),
    "made": ("Made with", "產生工具"),
    "no_data": ("none: `--data` shows what needs images", "未提供：以 `--data` 指定後，可看到需要影像的部分"),
    "intro": (
        "A network is not a black box: every number in it can be read. This page goes through the network level by level: the patterns its first layer looks for, the parts of real images that excite later layers, what it loses without a channel, and what a single answer rests on.",
        "神經網路並不是黑盒子，裡面的每一個數字都讀得出來。本頁逐層檢視這個網路：第一層尋找哪些圖樣、真實影像的哪些部分最能激發後面各層、少了某個通道會失去什麼，以及單一答案的依據。",
    ),
    "top1": ("Top-1", "Top-1 準確率"),
    "top1_note": ("on the images of this page", "以本頁使用的影像計算"),
    "agreement_note": ("its own answers: the data has other classes", "以網路自己的答案為準：資料的類別不同"),
    "levels": ("Levels", "層數"),
    "levels_note": ("that hold weights", "含權重的層"),
    "channels": ("Channels", "通道數"),
    "channels_note": ("in all hidden levels", "所有隱藏層合計"),
    "unused": ("Never react", "從不反應"),
    "unused_note": ("channels that answer the same to every image", "對每張影像都給出相同反應的通道"),
    "labels_unknown": (
        "The data has classes that this network does not know. Wherever a class is needed below, the network's own first answer stands in for it: accuracy means agreement with itself.",
        "資料中有這個網路不認得的類別。以下凡需要類別之處，都以網路自己的第一個答案代替；「準確率」指的是與自身答案一致的比例。",
    ),
    "contents": ("Contents", "目錄"),
    "levels_title": ("Level by level", "一層一層看"),
    "levels_guide": (
        "Each level reads the one before it, so each sees a larger part of the image: its <b>receptive field</b>, drawn here to scale around the centre. Within it the first level can tell edges and colours, later ones patterns and parts. Dense levels see the whole image.",
        "每一層都讀取前一層的輸出，因此越後面的層看到的影像範圍越大，這就是它的<b>感受野</b>，圖中以中心為準按比例畫出。第一層在其中只能分辨邊緣與顏色，後面的層則能分辨圖樣與局部。全連接層看得到整張影像。",
    ),
    "level": ("Level", "層"),
    "maps": ("Channels", "通道"),
    "map_size": ("Map", "特徵圖"),
    "sees": ("Sees", "感受野"),
    "whole": ("whole image", "整張影像"),
    "macs": ("Multiply-adds", "乘加運算"),
    "active": ("Active", "活躍比例"),
    "active_guide": (
        "<b>Active</b> is the share of places where a channel's answer is above 0, on average over its level. <b>Never react</b> counts channels that gave the same answer to every image: they learned nothing or died in training.",
        "<b>活躍比例</b>是通道反應大於 0 的位置所占的比例，取該層平均。<b>從不反應</b>是對每張影像都給出相同反應的通道數，它們什麼也沒學到，或在訓練中失去作用。",
    ),
    "no_layers": (
        "No hidden convolution or dense layer was found in this model: its features are made by hand, or there are none. Filters, channels, ablation, and maps do not exist for it; what else can be said follows.",
        "這個模型中找不到隱藏的卷積層或全連接層，它的特徵是人工設計的，或根本沒有特徵，因此沒有濾波器、通道、消融、與特徵圖可看；其餘能說明的部分如下。",
    ),
    "filters_title": ("First-layer filters", "第一層的濾波器"),
    "filters_guide": (
        "The {n} patterns of {h}×{w} pixels that the first level looks for everywhere in an image. Mid-grey is a weight of zero; each filter is scaled by its own largest weight. A trained network has edges at several angles and blobs of opposing colours; a filter that looks like noise has learned little.",
        "第一層在影像各處尋找的 {n} 種 {h}×{w} 像素圖樣。中灰代表權重為零，每個濾波器以自己最大的權重為尺度。訓練好的網路會有各種角度的邊緣與對比色的色塊；看起來像雜訊的濾波器學到的很少。",
    ),
    "usage_guide": (
        " The bar under each says how often it wins: the share of all places in {n} images where it answers more strongly than any other filter.",
        "每個濾波器下方的長條表示它勝出的頻率：在 {n} 張影像的所有位置中，它的反應強過其他濾波器的比例。",
    ),
    "towers_guide": (
        "The next level sees these filters in {towers} parts, each by itself, as on the two GPUs of 2012. There one tower became nearly grey and the other coloured.",
        "下一層把這些濾波器分成 {towers} 部分，各看各的，就像 2012 年的兩張 GPU。當時其中一塔幾乎只剩灰階，另一塔則偏重顏色。",
    ),
    "tower": (
        "Tower {i}: filters {first} to {last}, {share} colour",
        "第 {i} 塔：濾波器 {first} 到 {last}，彩色占 {share}",
    ),
    "no_filters": (
        "The first layer does not look at 1 or 3 colour channels with small kernels, so its weights cannot be shown as pictures.",
        "第一層不是以小型卷積核讀取 1 或 3 個色彩通道，權重無法畫成圖。",
    ),
    "patches_title": ("What excites each channel", "什麼最能激發各通道"),
    "patches_guide": (
        "For each channel the nine parts of real images that excite it most, strongest at the top left, cut out exactly as large as what it sees (grey lies beyond the image's edge). Below: the classes whose images excite it more than the average, in standard deviations, and how top-1 changes when it is switched off, in percentage points. Channels whose best images stand out most come first.",
        "每個通道列出最能激發它的九塊真實影像，最強的在左上角，範圍正好是它看到的大小（灰色為影像邊緣之外）。下方是激發程度高於平均的類別（以標準差計），以及關掉這個通道後 Top-1 的變化（百分點）。最佳影像最突出的通道排在前面。",
    ),
    "shown_of": ("{shown} of {n} channels", "顯示 {n} 個通道中的 {shown} 個"),
    "channel": ("channel {i}", "通道 {i}"),
    "off": ("off", "關閉"),
    "patches_alt": ("nine patches that excite channel {i} of {level}", "最能激發 {level} 通道 {i} 的九塊影像"),
    "no_patches": ("Needs images: name them with `--data`.", "需要影像：請以 `--data` 指定。"),
    "ablation_title": ("What it can do without", "少了什麼也行"),
    "ablation_guide": (
        "Each channel is switched off by itself, its answer set to 0 everywhere, and accuracy is measured again; nothing is trained. Curves show all channels of a level, the most missed first. A level whose curve falls at once hangs on a few channels; a flat one shares its knowledge among many, which is what dropout trains for. Changes of less than two standard errors may be luck of the draw of images; they are shown in grey above and count as no loss.",
        "逐一關掉每個通道（把它的反應全部設為 0），再重新測量準確率，完全不重新訓練。曲線顯示一層的所有通道，影響最大的排在前面。一開始就陡降的層依賴少數通道；平坦的層把知識分散在許多通道中，這正是丟棄法（dropout）的目的。小於兩個標準誤的變化可能只是抽到哪些影像的運氣，在上面以灰色表示，並視為沒有損失。",
    ),
    "ablation_n": (
        "{level}: {tried} of {channels} channels, on {n} images (top-1 {top1})",
        "{level}：{channels} 個通道中的 {tried} 個，{n} 張影像（Top-1 {top1}）",
    ),
    "ablation_most": ("Most missed", "影響最大"),
    "off_channel": ("Channel", "通道"),
    "change_top1": ("Top-1", "Top-1"),
    "change_loss": ("Loss", "損失"),
    "hurt": ("Class that loses most", "損失最大的類別"),
    "spared": (
        "{n} of {tried} channels can be switched off, one at a time, without a loss beyond two standard errors.",
        "{tried} 個通道中有 {n} 個，單獨關掉時準確率的損失不超過兩個標準誤。",
    ),
    "points": ("{v} points", "{v} 個百分點"),
    "visualised_title": ("Images made for a channel", "為通道生成的影像"),
    "visualised_guide": (
        "From noise, an image is changed step by step so that one channel answers more and more. The number compares its answer with that to the best real image: far above 1×, the image shows what the channel adds up rather than anything it has met.",
        "從雜訊開始一步步改變影像，讓某個通道的反應越來越強。數字是它的反應與最佳真實影像的反應之比：遠大於 1× 時，這張影像顯示的是通道加總的東西，而不是它真正見過的東西。",
    ),
    "visualised_small": (
        "At {px} px this says little: there is no room for shapes, and what comes out is mostly texture and colour. The patches above are the better guide.",
        "在 {px} 像素下，這種方法能說明的有限：沒有空間容納形狀，出來的多半是紋理與顏色。上面的真實影像區塊更可靠。",
    ),
    "visualised_alt": ("image made for {what}", "為{what}生成的影像"),
    "no_gradients": (
        "Scores of this model cannot be differentiated by pixels, so this is left out.",
        "這個模型的分數無法對像素微分，因此略過。",
    ),
    "images_title": ("What one answer rests on", "一個答案的依據"),
    "images_guide": (
        "Left to right, the same image through the network: the channels with the most to say at each level, bright where they answer. Below, three ways to ask which pixels the first answer rests on. <b>Grad-CAM</b> weighs the maps of the last convolution by their gradients: where, coarsely. <b>Occlusion</b> covers a square of {window} px with the mean colour: blue where the probability falls, orange where it rises. <b>Integrated gradients</b> add up what each pixel contributes to the score on the way from the mean colour: blue for, orange against.",
        "同一張影像由左至右、由上而下通過網路：每層列出反應最多的通道，越亮反應越強。下方以三種方法詢問第一個答案依據哪些像素。<b>Grad-CAM</b> 以梯度加權最後一個卷積層的特徵圖，粗略指出位置。<b>遮擋法</b>以平均顏色蓋住 {window} 像素的方塊：機率下降處為藍色，上升處為橘色。<b>積分梯度</b>累加從平均顏色到影像途中各像素對分數的貢獻：藍色為支持，橘色為反對。",
    ),
    "truth": ("is {name}", "實為 {name}"),
    "answered": ("{name} {p}", "{name} {p}"),
    "input": ("image", "影像"),
    "grad_cam": ("Grad-CAM", "Grad-CAM"),
    "occlusion": ("Occlusion", "遮擋法"),
    "integrated_gradients": ("Integrated gradients", "積分梯度"),
    "complete": ("adds up to within {share} of the score's rise", "總和與分數升幅相差在 {share} 以內"),
    "sanity_title": ("Can these pictures be trusted?", "這些圖可信嗎？"),
    "sanity_guide": (
        "A sanity check (Adebayo 2018): the weights are shuffled layer by layer, from the last to the first, which destroys what was learned. A picture of what was learned must then change. Shown is the rank correlation with the original picture, the mean of {n} images: near 0 the picture has vanished, as it should; near 1 the method draws the image whatever the network knows.",
        "健全性檢查（Adebayo 2018）：從最後一層到第一層，逐層打亂權重，學到的東西因此被毀掉；真正反映所學的圖也應該跟著改變。圖中是與原圖的等級相關係數，取 {n} 張影像平均：接近 0 表示圖已消失，這是應有的結果；接近 1 表示不論網路懂什麼，這個方法畫的都是影像本身。",
    ),
    "sanity_result": ("With all weights shuffled: {list}.", "打亂全部權重後：{list}。"),
    "sanity_passes": ("{method} {r} (passes)", "{method} {r}（通過）"),
    "sanity_keeps": ("{method} {r} (keeps part of its picture)", "{method} {r}（仍保留部分圖像）"),
    "sanity_input": (
        "Integrated gradients multiply by the image itself, which is not shuffled, so a part of their picture stays whatever the weights: read them for signs and places, not for outlines.",
        "積分梯度會乘上影像本身，而影像並未打亂，所以不論權重如何都會留下部分圖像：請看它的正負與位置，而不要看輪廓。",
    ),
    "figure4_title": ("As in the paper: answers and neighbours", "如論文所示：答案與鄰居"),
    "figure4_guide": (
        "After Figure 4 of the paper. Each row: an image, the five likeliest classes (orange: the right one), and the training images that lie nearest to it as the last layer sees them ({d} numbers an image). Neighbours that share a meaning but not their pixels show that the network has learned more than colours and outlines. All {n} training images are compared, {time} a query.",
        "仿照論文的圖 4。每列是一張影像、最可能的五個類別（橘色為正確類別），以及在最後一層的輸入（每張影像 {d} 個數字）中最接近的訓練影像。意義相同而像素不同的鄰居，表示網路學到的不只是顏色與輪廓。每次查詢都與全部 {n} 張訓練影像比較，耗時 {time}。",
    ),
    "figure4_plain": (
        "After Figure 4 of the paper: images and the five likeliest classes (orange: the right one).",
        "仿照論文的圖 4：影像與最可能的五個類別（橘色為正確類別）。",
    ),
    "no_features": (
        "No last dense layer was found, so there is no space in which to look for neighbours.",
        "找不到最後的全連接層，因此沒有可以尋找鄰居的特徵空間。",
    ),
    "no_train": (
        "No neighbours: the training images cannot be read ({reason}).",
        "沒有鄰居：無法讀取訓練影像（{reason}）。",
    ),
    "nearest_alt": ("training image of class {name}", "{name} 類的訓練影像"),
    "map_title": ("A map of what it sees", "它眼中的地圖"),
    "map_guide": (
        "{n} images, placed by t-SNE so that those that look alike to the network lie side by side. Islands of one class are what it can tell apart; where classes run into each other, it confuses them. Distances between islands mean nothing.",
        "以 t-SNE 排列的 {n} 張影像，網路認為相像的排在一起。單一類別的島嶼是它分得清的；類別交界處則是它容易混淆的。島與島之間的距離沒有意義。",
    ),
    "map_alt": ("images placed by likeness in feature space", "依特徵空間中的相似度排列的影像"),
    "dropout_title": ("Dropout at work", "丟棄法如何運作"),
    "dropout_guide": (
        "In training, dropout switches off units at random ({layers}). Here the same image passes {times} times with other units off each time: each dot is the probability of a class in one pass, the bar what the whole network says with dropout off. A wide spread means that the answer hangs on few units.",
        "訓練時，丟棄法會隨機關掉單元（{layers}）。這裡讓同一張影像通過 {times} 次，每次關掉不同的單元：每個點是一次通過中某類別的機率，直條是關閉丟棄法後整個網路的答案。分布越寬，答案越依賴少數單元。",
    ),
    "dropout_spread": (
        "{name}: {mean} ± {std} with masks, {off} without.",
        "{name}：開啟遮罩為 {mean} ± {std}，關閉為 {off}。",
    ),
    "no_dropout": ("This network drops no units.", "這個網路沒有使用丟棄法。"),
    "no_images": (
        "Needs an image: name one after the model, or data with `--data`.",
        "需要影像：請在模型後面指定影像，或以 `--data` 指定資料。",
    ),
    "files_title": ("Files, and how to repeat it", "檔案與重現方法"),
    "files_guide": (
        "Beside this page lie its pictures and <code>explain.json</code>, with every channel and every figure.",
        "本頁旁邊有各張圖片與 <code>explain.json</code>，內含所有通道與數據。",
    ),
    "plot_usage": ("Share of places where it is the strongest", "反應最強的位置比例"),
    "axis_rank": ("Channels, most missed first", "通道（影響最大者在前）"),
    "axis_change": ("Change of top-1, points", "Top-1 變化（百分點）"),
    "axis_stage": ("Shuffled from the last layer down to", "從最後一層打亂到"),
    "axis_correlation": ("Rank correlation with the original", "與原圖的等級相關"),
    "axis_probability": ("Probability", "機率"),
}
